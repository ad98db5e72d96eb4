"""Unlearning as graph edits: the room is reserved, and empty in this release."""
