"""How runs ended: kept for whoever asked for them from afar, in no log, and gone by themselves."""

from datetime import timedelta

from catalog.records import Outcome
from catalog.store import record_kinds
from catalog.store.protocol import EVERYTHING, Store, Transaction
from catalog.store.storable import storable

KEPT = timedelta(days=30)
SWEPT = 20
"""Rows that are looked at with each new one: ids of runs are random, so in time all are."""


def keep_outcome(store: Store, outcome: Outcome) -> None:
    """Keep how a run ended; of the others, some that are old go."""
    with store.writing() as transaction:
        if transaction.get(record_kinds.OUTCOME, (outcome.run_id,)) is None:
            _sweep(transaction, outcome)
            transaction.insert(record_kinds.OUTCOME, storable(outcome))
        else:
            transaction.update(record_kinds.OUTCOME, storable(outcome))


def _sweep(transaction: Transaction, new: Outcome) -> None:
    behind = transaction.page(record_kinds.OUTCOME, EVERYTHING, (new.run_id,), SWEPT)
    for old in behind.records:
        if old.created_at < new.created_at - KEPT:
            transaction.delete(record_kinds.OUTCOME, (old.run_id,))
