"""Unlearning as graph edits: what to forget, how, whether it worked, and the record of it."""

from graphrec.unlearn.audit import audit
from graphrec.unlearn.audit_report import AuditReport
from graphrec.unlearn.auditor import Auditor
from graphrec.unlearn.canaries import canary_uniformity, insert_canaries
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
from graphrec.unlearn.forgetting import ForgetResult, forget
from graphrec.unlearn.graph_digest import graph_digest, store_digests
from graphrec.unlearn.ledger import Ledger
from graphrec.unlearn.ledger_check import Verification, verify_ledger
from graphrec.unlearn.methods import METHODS
from graphrec.unlearn.methods.sisa import train_shards
from graphrec.unlearn.model_digest import model_digest
from graphrec.unlearn.pseudonyms import read_key
from graphrec.unlearn.report import ForgetReport
from graphrec.unlearn.sharded import ShardedRecommender
from graphrec.unlearn.stream import StreamResult, forget_stream

__all__ = [
    'METHODS',
    'AuditReport',
    'Auditor',
    'Edit',
    'EditResult',
    'EditSet',
    'EditSummary',
    'ForgetReport',
    'ForgetResult',
    'ForgetSet',
    'Ledger',
    'RemoveAttribute',
    'RemoveInteractions',
    'RemoveItems',
    'RemoveModality',
    'RemoveQueries',
    'RemoveUsers',
    'ShardedRecommender',
    'StreamResult',
    'Verification',
    'audit',
    'canary_uniformity',
    'edit_from_json',
    'forget',
    'forget_stream',
    'graph_digest',
    'insert_canaries',
    'model_digest',
    'read_edit',
    'read_ids',
    'read_key',
    'read_pairs',
    'store_digests',
    'train_shards',
    'verify_ledger',
]
