"""Unlearning as graph edits: what to forget, how, whether it worked, and the record of it."""

from graphrec.unlearn.edit_files import edit_from_json, read_edit, read_ids, read_pairs
from graphrec.unlearn.edits import (
    Edit,
    EditSet,
    RemoveAttribute,
    RemoveInteractions,
    RemoveItems,
    RemoveModality,
    RemoveQueries,
    RemoveUsers,
)
from graphrec.unlearn.forget_set import EditResult, EditSummary, ForgetSet
from graphrec.unlearn.graph_digest import graph_digest, store_digests

__all__ = [
    'Edit',
    'EditResult',
    'EditSet',
    'EditSummary',
    'ForgetSet',
    'RemoveAttribute',
    'RemoveInteractions',
    'RemoveItems',
    'RemoveModality',
    'RemoveQueries',
    'RemoveUsers',
    'edit_from_json',
    'graph_digest',
    'read_edit',
    'read_ids',
    'read_pairs',
    'store_digests',
]
