"""Filling catalogs with images in bulk, past the checks of a change but with the log, counts and shares it would leave."""

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from uuid import UUID

import sqlalchemy as sa

from catalog.log.entries import Acting, entry
from catalog.records import Counted, Event, Image, ImageStatus, Record, Replica, ReplicaStatus
from catalog.rules.accounts.sharing import grantees
from catalog.store.record_kinds import COUNTED, EVENT, IMAGE, REPLICA, RecordKind
from catalog.store.sql import SqlStore
from catalog.store.tables import JSON_FIELDS, PLACES_TABLE, SHARES_TABLE, TABLES, row_of

START = datetime(2026, 1, 1, tzinfo=UTC)
BATCH = 5000
OWNERS = 100
RARE = 10  # images with a name of their own and on a storage of their own, whatever the size
Row = dict[str, object]


def is_rare(number: int) -> bool:
    """Tell whether an image is one of the few."""
    return number % 1000 == 5 and number < RARE * 1000


def image_number(number: int) -> Image:
    """Return one of the images that a catalog is filled with: many owners, families, a few shared."""
    return Image(
        id=str(UUID(int=number * 0x9E3779B97F4A7C15F39CC0605CEDC835 % (1 << 128))),  # all over the index
        name=f"rare {number}" if is_rare(number) else f"debian 12 build {number}",
        format="qcow2",
        format_stored="qcow2",
        cpu_architecture="x86_64",
        platform="Linux",
        os="Debian 12",
        size_bytes=1 << 28,
        md5=f"{number:032x}",
        sha256=f"{number:064x}",
        status=ImageStatus.DELETED if number % 100 == 7 else ImageStatus.READY,
        owner=f"account {number % OWNERS}",
        sharing_mode="specified" if number % 50 == 3 else "none",
        shared_accounts=(f"account {(number + 1) % OWNERS}",) if number % 50 == 3 else (),
        family=f"family {number % 5000}",
        version=1,
        created_at=moment_of(number),
        updated_at=moment_of(number),
    )


def moment_of(number: int) -> datetime:
    """Return when an image was added: one a second."""
    return START + timedelta(seconds=number)


def replica_of(image: Image, number: int) -> Replica:
    """Return the replica that goes with an image."""
    return Replica(
        image_id=image.id, image_storage="rare" if is_rare(number) else "default", status=ReplicaStatus.READY,
        format="qcow2", location=f"manifests/{image.id}", size_bytes=1 << 28, stored_bytes=1 << 26,
        created_at=image.created_at,
    )  # fmt: skip


def fill(stores: Sequence[SqlStore], last: Event, numbers: range) -> Event:
    """Add the images of these numbers to catalogs whose logs are alike; return the last entry."""
    rest = iter(numbers)
    for store in stores:
        _hurry(store, synchronous="OFF", cache_kib=1_000_000)
    while batch := tuple(islice(rest, BATCH)):
        images = [image_number(number) for number in batch]
        replicas = [replica_of(image, number) for image, number in zip(images, batch, strict=True)]
        events = tuple(_chained(last, images, replicas))
        rows = _rows(images, replicas, events)
        for store in stores:
            _write(store, rows)
        last = events[-1]
    for store in stores:
        _hurry(store, synchronous="FULL", cache_kib=2_000)
        _count(store, numbers.stop)
    return last


def _hurry(store: SqlStore, *, synchronous: str, cache_kib: int) -> None:
    """Let SQLite keep the pages of random keys in memory instead of writing each again and again."""
    if store.engine.dialect.name == "sqlite":
        connection = store.engine.raw_connection()  # outside of a transaction; the pool gives the same one again
        connection.cursor().execute(f"PRAGMA synchronous={synchronous}")
        connection.cursor().execute(f"PRAGMA cache_size=-{cache_kib}")
        connection.close()


def _chained(last: Event, images: Sequence[Image], replicas: Sequence[Replica]) -> Iterator[Event]:
    for image, replica in zip(images, replicas, strict=True):
        place = f"replica:{image.id}@{replica.image_storage}"
        for subject, record in ((f"image:{image.id}", image), (place, replica)):
            last = entry(last, image.created_at, "test.filled", subject, Acting("admin"), None, record)
            yield last


def _rows(images: Sequence[Image], replicas: Sequence[Replica], events: Sequence[Event]) -> dict[str, list[Row]]:
    kinds: tuple[tuple[RecordKind[Record], Sequence[Record]], ...] = (
        (IMAGE, images), (REPLICA, replicas), (EVENT, events)
    )  # fmt: skip
    rows: dict[str, list[Row]] = {kind.table: [dict(row_of(kind, r)) for r in records] for kind, records in kinds}
    keys = [{"image_id": i.id, "created_at": i.created_at} for i in images]
    rows[SHARES_TABLE.name] = [
        {"grantee": name, **key} for i, key in zip(images, keys, strict=True) for name in grantees(i)
    ]
    rows[PLACES_TABLE.name] = [{"image_storage": r.image_storage, **key} for r, key in zip(replicas, keys, strict=True)]
    return rows


def _write(store: SqlStore, rows: dict[str, list[Row]]) -> None:
    with store.engine.begin() as connection:
        for name, of_table in rows.items():
            if of_table and connection.dialect.name == "postgresql":
                _copy(connection, name, of_table)
            elif of_table:
                connection.execute(sa.insert(_table(name)), of_table)


def _table(name: str) -> sa.Table:
    return {**TABLES, SHARES_TABLE.name: SHARES_TABLE, PLACES_TABLE.name: PLACES_TABLE}[name]


def _copy(connection: sa.Connection, name: str, rows: Iterable[Row]) -> None:
    columns = [column.name for column in _table(name).columns]
    nested = JSON_FIELDS.get(name, frozenset())
    named = ", ".join(f'"{column}"' for column in columns)
    cursor = connection.connection.cursor()
    with cursor.copy(f"COPY {name} ({named}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row([_text(row[c]) if c in nested else row[c] for c in columns])


def _text(value: object) -> str | None:
    return None if value is None else json.dumps(value)


def _count(store: SqlStore, images: int) -> None:
    table = TABLES[COUNTED.table]
    counts = [row_of(COUNTED, _counted(owner, images)) for owner in range(min(OWNERS, images))]
    with store.engine.begin() as connection:
        connection.execute(sa.delete(table))
        connection.execute(sa.insert(table), counts)


def _counted(owner: int, images: int) -> Counted:
    numbers = range(owner, images, OWNERS)
    binned = sum(n % 100 == 7 for n in numbers)
    return Counted(
        account=f"account {owner}", images=len(numbers), size_bytes=len(numbers) << 28,
        stored_bytes=len(numbers) << 26, binned_images=binned, binned_bytes=binned << 28,
    )  # fmt: skip


def settle(store: SqlStore) -> None:
    """Do what PostgreSQL does by itself within minutes of such a load; SQLite has to do without statistics."""
    if store.engine.dialect.name == "postgresql":
        with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(sa.text("VACUUM ANALYZE"))
            connection.execute(sa.text("CHECKPOINT"))
