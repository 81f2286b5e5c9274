"""Move a whole catalog into an empty database in one transaction, verifying log and records before and after."""

from collections.abc import Callable
from contextlib import nullcontext

from catalog.errors import InvalidRequest
from catalog.log.entries import Acting
from catalog.repository.change import Change
from catalog.repository.reading.log import LogReading
from catalog.store.copying import Whole, copy_all
from catalog.store.schema import prepare
from catalog.store.sql import SqlStore, SqlTransaction, connect, parse


def move(source: str, target: str, settle: Callable[[Change, int], None]) -> None:
    """Copy one SQL catalog into an empty one and let `settle` adjust the copy, all or nothing.

    settle: takes a change of the new catalog and the number of copied records. Nobody writes to either meanwhile; the
    source stays as it is. Raises InvalidRequest for a target that is not empty, LogDamaged, RecordNotLogged,
    RecordUnreadable, CatalogUnavailable, CatalogOutdated.
    """
    old, new = _prepared(source), _prepared(target)
    try:
        with old.writing() as there, new.writing() as here:
            if table := Whole(here, new.page_size).filled():
                raise InvalidRequest(
                    "IMAGEWRIGHT_CATALOG_URL",
                    new.address,
                    f"a database without a catalog in it: its {table} are not empty",
                )
            prove(there, old.page_size)
            settle(Change(here, here.now, new.page_size, Acting("admin")), copy_all(there, here, new.page_size))
            prove(here, new.page_size)
    finally:
        old.close()
        new.close()


def prove(transaction: SqlTransaction, page_size: int) -> None:
    """Verify the log's chain, and every record by the log, within a transaction. Raises LogDamaged, RecordNotLogged."""
    log = LogReading(lambda: nullcontext(transaction), transaction.now, page_size)
    log.verify_events()
    log.verify_tables()


def _prepared(address: str) -> SqlStore:
    url = parse(address)
    if url is None:
        raise InvalidRequest("IMAGEWRIGHT_CATALOG_URL", address.partition("://")[0], "a database")
    store = connect(url)
    prepare(store)
    return store
