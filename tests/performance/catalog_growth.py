"""How the catalog's costs grow with its images: `python -m tests.performance.catalog_growth [sqlite|postgresql] [SIZE…]`.

Look-ups and pages may grow by the depth of an index (the bar: at most 2 times from 10⁴ to 10⁶), what looks at
everything linearly.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import count, islice
from pathlib import Path
from typing import TypeVar
from uuid import UUID

import sqlalchemy as sa

from catalog import open_catalog
from catalog.history import entry
from catalog.kinds import COUNTED, EVENT, IMAGE, REPLICA
from catalog.records import Counted, Event, Image, ImageStatus, Record, Replica, ReplicaStatus
from catalog.repository import Catalog
from catalog.rules.sharing import grantees
from catalog.sql import SqlStore
from catalog.tables import SHARES_TABLE, TABLES, row_of
from tasks.expunge import plan_expunge
from tasks.purge import due_images
from tests.services.postgresql import url_of

T = TypeVar("T")
START = datetime(2026, 1, 1, tzinfo=UTC)
BATCH = 5000
OWNERS = 100
REPEAT = 15


class Cost(Record):
    """What one question costs at one size, in milliseconds."""

    question: str
    images: int
    milliseconds: float
    linear: bool = False  # looks at everything


def image_number(number: int) -> Image:
    """Return one of the images that a catalog is filled with: many owners, families, a few shared."""
    return Image(
        id=str(UUID(int=number * 0x9E3779B97F4A7C15 % (1 << 128))),
        name=f"debian 12 build {number}",
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
        created_at=START + timedelta(seconds=number),
        updated_at=START + timedelta(seconds=number),
    )


def replica_of(image: Image) -> Replica:
    """Return the replica that goes with an image."""
    return Replica(
        image_id=image.id, image_storage="default", status=ReplicaStatus.READY, format="qcow2",
        location=f"manifests/{image.id}", size_bytes=1 << 28, stored_bytes=1 << 26, created_at=image.created_at,
    )  # fmt: skip


def fill(catalog: Catalog, images: int, chained: bool = True) -> None:
    """Write that many images with replicas, events and counts, past the checks of a change but as it would.

    chained: the log can be verified and replayed; without, it only has as many entries (a million in minutes).
    """
    store = catalog._store
    assert isinstance(store, SqlStore)
    last = list(catalog.events())[-1]
    numbers = iter(range(images))
    while batch := [image_number(n) for n in islice(numbers, BATCH)]:
        replicas = [replica_of(image) for image in batch]
        events = [*(_chained if chained else _unchained)(last, batch, replicas)]
        _write(store, batch, replicas, events)
        last = events[-1]
    counts = [_counted(owner, images) for owner in range(min(OWNERS, images))]
    with store.engine.begin() as connection:
        connection.execute(sa.insert(TABLES[COUNTED.table]), [row_of(COUNTED, c) for c in counts])
        if store.engine.dialect.name == "postgresql":  # which does it by itself; SQLite has to do without
            connection.execute(sa.text("ANALYZE"))


def _chained(last: Event, images: list[Image], replicas: list[Replica]) -> Iterator[Event]:
    for image, replica in zip(images, replicas, strict=True):
        for subject, record in ((f"image:{image.id}", image), (f"replica:{image.id}@default", replica)):
            at = max(last.at, image.created_at)
            last = entry(last, at, "test.filled", subject, "admin", None, None, record)
            yield last


def _unchained(last: Event, images: list[Image], replicas: list[Replica]) -> Iterator[Event]:
    after = images[0].model_dump(mode="json")
    numbers = count(last.sequence + 1)
    for image, replica in zip(images, replicas, strict=True):
        for subject in (f"image:{image.id}", f"replica:{image.id}@{replica.image_storage}"):
            yield last.model_copy(
                update={"sequence": next(numbers), "subject": subject, "image_id": image.id, "after": after}
            )


def _write(store: SqlStore, images: list[Image], replicas: list[Replica], events: list[Event]) -> None:
    shares = [
        {"grantee": name, "image_id": i.id, "created_at": i.created_at}
        for i in images
        for name in grantees(i)
    ]
    with store.engine.begin() as connection:
        connection.execute(sa.insert(TABLES[IMAGE.table]), [row_of(IMAGE, i) for i in images])
        connection.execute(sa.insert(TABLES[REPLICA.table]), [row_of(REPLICA, r) for r in replicas])
        connection.execute(sa.insert(TABLES[EVENT.table]), [row_of(EVENT, e) for e in events])
        if shares:
            connection.execute(sa.insert(SHARES_TABLE), shares)


def _counted(owner: int, images: int) -> Counted:
    numbers = range(owner, images, OWNERS)
    binned = sum(n % 100 == 7 for n in numbers)
    return Counted(
        account=f"account {owner}", images=len(numbers), size_bytes=len(numbers) << 28,
        stored_bytes=len(numbers) << 26, binned_images=binned, binned_bytes=binned << 28,
    )  # fmt: skip


def questions(catalog: Catalog, images: int) -> Mapping[str, Callable[[], object]]:
    """Return what is asked whatever the size: each looks at a handful of records."""
    middle = image_number(images // 2 + 4)  # its owner is somebody that others share with

    def page(**asked: object) -> Callable[[], object]:
        return lambda: list(catalog.images(limit=100, **asked))  # type: ignore[arg-type]

    return {
        "one image": lambda: catalog.image(middle.id),
        "one image, as its owner": lambda: catalog.image(middle.id, account=middle.owner),
        "its replicas": lambda: list(catalog.replicas(middle.id)),
        "its events": lambda: list(catalog.events(middle.id)),
        "first page": page(),
        "page in the middle": page(after=middle),
        "recycle bin": page(status="Deleted"),
        "page of an owner": page(owner=middle.owner),
        "page an account sees": page(account=middle.owner),
        "page a stranger sees": page(account="nobody"),
        "images on a storage": page(image_storage="default"),
        "exact name": page(name_pattern=middle.name),
        "changed in the last hour": page(changed_since=START + timedelta(seconds=images - 3600)),
        "latest of a family": lambda: catalog.latest(middle.family or ""),
        "quota sums": lambda: catalog.usage(middle.owner),
        "one image at a moment": lambda: catalog.snapshot()[f"image:{middle.id}"],
        "reserve": lambda: _reserve(catalog),
        "save an image": lambda: _save(catalog),
    }


def _reserve(catalog: Catalog) -> None:
    with catalog.changing(actor="admin") as change:
        change.reserve(subject="image:new", account="account 1", storages=("default",), size_bytes=1)


def _save(catalog: Catalog) -> None:
    image = catalog.image(image_number(1).id)
    with catalog.changing(actor="admin") as change:
        change.save_image(image)


def everything(catalog: Catalog) -> Mapping[str, Callable[[], object]]:
    """Return what looks at all records."""
    return {
        "list all images": lambda: sum(1 for _ in catalog.images()),
        "snapshot from the log": lambda: sum(1 for _ in catalog.snapshot().items()),
        "verify the log": catalog.verify_events,
        "verify the tables": catalog.verify_tables,
        "plan a purge": lambda: plan_expunge.fn(due_images.fn("admin", 0, "delay"), "admin"),
    }


def measure(catalog: Catalog, images: int, whole: bool = True) -> Iterator[Cost]:
    """Yield the cost of each question: the best of several, or one for those that look at everything."""
    for name, ask in questions(catalog, images).items():
        yield Cost(question=name, images=images, milliseconds=min(_timed(ask) for _ in range(REPEAT)))
    for name, ask in everything(catalog).items() if whole else ():
        yield Cost(question=name, images=images, milliseconds=_timed(ask), linear=True)


def _timed(ask: Callable[[], object]) -> float:
    began = time.perf_counter()
    ask()
    return (time.perf_counter() - began) * 1e3


def growth(kind: str, sizes: tuple[int, ...], whole_up_to: int = 100_000) -> tuple[Cost, ...]:
    """Fill a new catalog for each size and measure it. kind: sqlite or postgresql.

    whole_up_to: the largest size at which what looks at everything is asked as well; a million takes minutes each.
    """
    costs: list[Cost] = []
    for images in sizes:
        with tempfile.TemporaryDirectory() as folder, open_catalog(url_of(kind, Path(folder))) as catalog:
            os.environ["IMAGEWRIGHT_CATALOG_URL"] = str(catalog._store.engine.url)  # type: ignore[attr-defined]
            whole = images <= whole_up_to
            fill(catalog, images, chained=whole)
            costs += measure(catalog, images, whole)
    return tuple(costs)


def table(costs: tuple[Cost, ...]) -> str:
    """Return the costs as a Markdown table, with how often each grew from the smallest to the largest size."""
    sizes = sorted({cost.images for cost in costs})
    lines = [
        "| milliseconds | " + " | ".join(f"{n:,}" for n in sizes) + " | grew |",
        "|---" * (len(sizes) + 2) + "|",
    ]
    for question in dict.fromkeys(cost.question for cost in costs):
        row = {cost.images: cost.milliseconds for cost in costs if cost.question == question}
        cells = " | ".join(f"{row[n]:,.2f}" if n in row else "" for n in sizes)
        lines.append(f"| {question} | {cells} | {row[max(row)] / row[min(row)]:.1f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    chosen = sys.argv[1] if len(sys.argv) > 1 else "sqlite"
    asked = tuple(int(size) for size in sys.argv[2:]) or (10_000, 100_000, 1_000_000)
    print(table(growth(chosen, asked)))
