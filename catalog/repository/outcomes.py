"""Outcomes of runs, kept for remote callers: not in the log, and removed once they are old."""

from datetime import timedelta

from catalog.records import Outcome
from catalog.store import record_kinds
from catalog.store.protocol import EVERYTHING, Store, Transaction
from catalog.store.storable import storable

KEPT = timedelta(days=30)
SWEPT = 20
"""Rows checked for age with each new one. Ids of runs are random, so in time every row is checked."""


def keep_outcome(store: Store, outcome: Outcome) -> None:
    """Store how a run ended; remove some of the other outcomes that are old."""
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
