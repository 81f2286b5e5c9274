"""How the catalog's costs grow with its images: `python -m tests.performance.catalog_growth [KIND…] [SIZE…]`.

Look-ups and pages may grow by the depth of an index (the bar: at most 2 times from 10⁴ to 10⁶), what looks at
everything linearly and in bounded memory. Each kind of database (sqlite, postgresql) takes a quarter of an hour and writes
CATALOG-<kind>.md; asked for together they are filled together. TMPDIR names where they lie, some 4 GB each.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from multiprocessing import get_context
from pathlib import Path

from catalog import open_catalog
from catalog.records import Image, Record
from catalog.repository.catalog import Catalog
from catalog.store.record_kinds import EVENT, IMAGE, RESERVATION
from catalog.store.sql import SqlStore
from tasks.images.expunge import due_images, plan_expunge
from tests.catalog.samples import opened
from tests.performance.catalog_filling import START, fill, image_number, moment_of, settle
from tests.services.postgresql import url_of

KINDS = ("sqlite", "postgresql")
SIZES = (10_000, 100_000, 1_000_000)
REPEAT = 15
RESULTS = "CATALOG-{}.md"
MIB = 1 << 20


class Cost(Record):
    """What one question costs at one size, in milliseconds."""

    question: str
    kind: str
    images: int
    milliseconds: float
    linear: bool = False  # looks at everything
    peak_mib: float = 0  # memory above what was there before


def questions(catalog: Catalog, images: int) -> Mapping[str, Callable[[], object]]:
    """Return what is asked whatever the size: each looks at a handful of records."""
    middle = image_number(images // 2 + 4)  # its owner is somebody that others share with
    then = moment_of(images // 2 + 10)

    def page(**asked: object) -> Callable[[], object]:
        return lambda: list(catalog.images(limit=100, **asked))  # type: ignore[arg-type]

    return {
        "one image": lambda: catalog.image(middle.id),
        "one image, as its owner": lambda: catalog.image(middle.id, account=middle.owner),
        "its replicas": lambda: list(catalog.replicas(middle.id)),
        "its events": lambda: list(catalog.events(middle.id)),
        "one image at a moment": lambda: catalog.snapshot(then)[f"image:{middle.id}"],
        "page of 100 at a moment": lambda: _page_at(catalog, middle),
        "difference of an hour": lambda: catalog.difference(moment_of(images // 2 - 3600), moment_of(images // 2)),
        "first page of 100": page(),
        "page in the middle": page(after=middle),
        "recycle bin": page(status="Deleted"),
        "page of an owner": page(owner=middle.owner),
        "page an account sees": page(account=middle.owner),
        "page a stranger sees": page(account="nobody"),
        "page of a storage": page(image_storage="default"),
        "page of a storage that holds 10": page(image_storage="rare"),
        "exact name": page(name_pattern=middle.name),
        "exact name, as its owner": page(name_pattern=middle.name, account=middle.owner),
        "names of which 10 begin so": page(name_pattern="rare*"),
        "names that all begin so": page(name_pattern="debian*5"),
        "changed in the last hour": page(changed_since=moment_of(images - 3600)),
        "latest of a family": lambda: catalog.latest(middle.family or ""),
        "quota sums": lambda: catalog.usage(middle.owner),
        "reserve": lambda: _reserve(catalog),
        "save an image": lambda: _save(catalog),
    }


def _page_at(catalog: Catalog, middle: Image) -> list[Image]:
    found = catalog.snapshot().records(Image, after=f"image:{middle.id}")
    return [image for image, _ in zip(found, range(100), strict=False)]


def _reserve(catalog: Catalog) -> None:
    with catalog.changing(actor="admin") as change:
        change.reserve(subject="image:new", account="account 1", storages=("default",), size_bytes=1)


def _save(catalog: Catalog) -> None:
    image = catalog.image(image_number(1).id)
    with catalog.changing(actor="admin") as change:
        change.save_image(image)


def _undo(catalog: Catalog, last: int) -> None:
    """Take back what measuring wrote, so that the next size follows from the same log."""
    newest = catalog.snapshot().sequence
    with catalog._store.writing() as transaction:
        for sequence in range(last + 1, newest + 1):
            transaction.delete(EVENT, (sequence,))
        transaction.update(IMAGE, image_number(1))
        transaction.delete(RESERVATION, ("image:new",))


def everything(catalog: Catalog) -> Mapping[str, Callable[[], object]]:
    """Return what looks at all records."""
    return {
        "list all images": lambda: sum(1 for _ in catalog.images()),
        "name in the middle": lambda: list(catalog.images(limit=100, name_pattern="*nobody*")),
        "snapshot, every record": lambda: sum(1 for _ in catalog.snapshot().items()),
        "verify the log": catalog.verify_events,
        "verify the tables": catalog.verify_tables,
        "plan a purge of 1 %": lambda: plan_expunge.fn(due_images.fn("admin", 0, "delay"), "admin"),
    }


def measure(catalog: Catalog, kind: str, images: int) -> Iterator[Cost]:
    """Yield the cost of each question: the best of several, or one for those that look at everything."""
    url = _store(catalog).engine.url.render_as_string(hide_password=False)
    for name in everything(catalog):
        with get_context("spawn").Pool(1) as fresh:
            spent, peak = fresh.apply(apart, (url, name))
        yield Cost(question=name, kind=kind, images=images, milliseconds=spent, linear=True, peak_mib=peak / MIB)
    last = catalog.snapshot().sequence
    for name, ask in questions(catalog, images).items():
        yield Cost(question=name, kind=kind, images=images, milliseconds=min(_timed(ask) for _ in range(REPEAT)))
    _undo(catalog, last)


def apart(url: str, name: str) -> tuple[float, int]:
    """Ask in a process of its own: milliseconds, and the bytes of memory that it took at most besides its imports."""
    os.environ["IMAGEWRIGHT_CATALOG_URL"] = url
    with open_catalog(url) as catalog:
        next(catalog.images())
        before = _memory("VmRSS")
        spent = _timed(everything(catalog)[name])
        return spent, max(_memory("VmHWM") - before, 0)


def _memory(what: str) -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{what}:")[1].split()[0]) << 10


def _timed(ask: Callable[[], object]) -> float:
    began = time.perf_counter()
    ask()
    return (time.perf_counter() - began) * 1e3


def _store(catalog: Catalog) -> SqlStore:
    assert isinstance(catalog._store, SqlStore)
    return catalog._store


def growth(kinds: Sequence[str], sizes: Sequence[int]) -> Iterator[Cost]:
    """Fill new catalogs from size to size and measure each."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        os.environ["IMAGEWRIGHT_HOME"] = str(folder)
        catalogs = {k: stack.enter_context(opened(url_of(k, folder), clock=lambda: START)) for k in kinds}
        last, filled = list(next(iter(catalogs.values())).events())[-1], 0
        for images in sizes:
            last = fill([_store(c) for c in catalogs.values()], last, range(filled, images))
            filled = images
            for kind, catalog in catalogs.items():
                settle(_store(catalog))
                yield from measure(catalog, kind, images)


def table(costs: Sequence[Cost], kind: str) -> str:
    """Return the costs as a Markdown table, with how often each grew from the smallest to the largest size."""
    sizes = sorted({cost.images for cost in costs})
    lines = [
        f"| {kind}, milliseconds | " + " | ".join(f"{n:,}" for n in sizes) + " | grew | bar | met |",
        "|---" * (len(sizes) + 4) + "|",
    ]
    lines += [
        _line([cost for cost in costs if (cost.question, cost.kind) == (question, kind)])
        for question in dict.fromkeys(cost.question for cost in costs)
    ]
    return "\n".join(lines)


def _line(costs: Sequence[Cost]) -> str:
    first, last = costs[0], costs[-1]
    grew, larger = last.milliseconds / first.milliseconds, last.images / first.images
    bar = larger * 1.25 if first.linear else 2
    cells = [f"{c.milliseconds:,.2f}" + (f" ({c.peak_mib:.0f} MiB)" if c.linear else "") for c in costs]
    met = "yes" if grew <= bar else "no"
    return f"| {first.question} | {' | '.join(cells)} | {grew:.1f} | ≤ {bar:.0f} | {met} |"


HEAD = """# Growth of the catalog on {kind}

Written by `python -m tests.performance.catalog_growth {kind}`, on {cores} cores with load {load:.1f} at the end. Best of 15, or one
run for what looks at everything, with the memory that it took at most besides the imports. Two entries of the log an
image; 1 % are in the recycle bin.

"""


def main(kinds: Sequence[str], sizes: Sequence[int]) -> None:
    """Measure and print; write the results if it was the whole of it."""
    costs = []
    for cost in growth(kinds, sizes):
        print(
            f"{cost.kind} {cost.images:,}: {cost.question} {cost.milliseconds:,.2f} ms",
            file=sys.stderr,
            flush=True,
        )
        costs.append(cost)
    for kind in kinds:
        head = HEAD.format(kind=kind, cores=os.cpu_count(), load=os.getloadavg()[0])
        print(text := head + table([cost for cost in costs if cost.kind == kind], kind))
        if tuple(sizes) == SIZES:
            Path(__file__).with_name(RESULTS.format(kind)).write_text(text + "\n")


if __name__ == "__main__":
    words = sys.argv[1:]
    main(
        [word for word in words if word in KINDS] or KINDS,
        tuple(int(word) for word in words if word not in KINDS) or SIZES,
    )
