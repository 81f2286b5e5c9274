"""Pages far down a list in the order of a column: the same as if all were sorted, and not all is sorted for one."""

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, get_args
from uuid import UUID

import pytest
import sqlalchemy as sa

from catalog.records import BootFacts, ImageStatus
from catalog.repository.catalog import Catalog
from catalog.store.lines import far
from catalog.store.lines.line import LineOrder
from catalog.store.sql import SqlStore
from tests.catalog.samples import START, a_replica, a_storage, an_image, opened
from tests.catalog.store.test_schema import SQL
from tests.services.postgresql import url_of

ORDERS = get_args(LineOrder)
COUNT, PAGE, FAR, SHARE = 480, 20, 40, 4
ASKED: Mapping[str, dict[str, Any]] = {
    "all": {}, "an account's": {"account": "x"}, "of a format": {"format": "raw"}, "on a storage": {"image_storage": "far"},
    "with words": {"words": ("rocky",)}, "with a label": {"labels": ("k=1",)},
}  # fmt: skip


@pytest.fixture(scope="module", params=SQL)
def catalog(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalog]:
    """Yield a catalog of many images: few differ in their format, nearly all in their name, some have no value."""
    folder = tmp_path_factory.mktemp("far")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMAGEWRIGHT_HOME", str(folder / "home"))
        with opened(url_of(request.param, folder, empty=True)) as ready:
            fill(ready)
            yield ready


def fill(catalog: Catalog) -> None:
    chance = random.Random(5)
    with catalog.changing(actor="admin") as change:
        for name in ("far", "near"):
            change.save_image_storage(a_storage(name))
        for number in range(COUNT):
            image = an_image(
                id=str(UUID(int=chance.getrandbits(128), version=4)), name=f"{chance.choice('aB')}{chance.randrange(500)}",
                status=chance.choice(list(ImageStatus)), owner=chance.choice("xyz"), format=chance.choice(("raw", "qcow2")),
                virtual_size_bytes=chance.choice((None, chance.randrange(1, 1 << 40))), labels=("k=1",) if number % 3 else (),
                image_type=chance.choice(("System", "Volume")), boot=BootFacts(guest_os="Rocky 9") if number % 2 else None,
                created_at=START + timedelta(hours=number // 3), sharing_mode=chance.choice(("none", "global")),
            )  # fmt: skip
            change.save_image(image)
            for storage in chance.sample(("default", "far", "near"), chance.randrange(3)):
                change.save_replica(a_replica(image, image_storage=storage))


@pytest.fixture(autouse=True)
def few_are_far(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(far, "FAR", FAR)
    monkeypatch.setattr(far, "SAMPLED", "4")
    monkeypatch.setattr(far, "SHARE", SHARE)


@contextmanager
def asked_of(catalog: Catalog) -> Iterator[list[tuple[Any, Any]]]:
    """Yield the statements, with their values, that the database is asked meanwhile."""
    assert isinstance(catalog._store, SqlStore)
    engine, found = catalog._store.engine, list[tuple[Any, Any]]()

    def take(_c: object, clause: Any, many: object, values: Any, _o: object) -> None:
        found.append((clause, values))

    sa.event.listen(engine, "before_execute", take)
    yield found
    sa.event.remove(engine, "before_execute", take)


def sorted_rows(catalog: Catalog, statements: Sequence[tuple[Any, Any]]) -> list[int]:
    """Return how many rows each statement sorts."""
    assert isinstance(catalog._store, SqlStore)
    lines = [one for one, _ in statements if isinstance(one, sa.Select) and one._order_by_clauses]
    with catalog._store.engine.connect() as connection:
        whole = [one.order_by(None).offset(None).limit(None).subquery() for one in lines]
        return [int(connection.execute(sa.select(sa.func.count()).select_from(one)).scalar_one()) for one in whole]


@pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED)
@pytest.mark.parametrize("order", ORDERS)
def test_a_far_page_is_what_it_would_be_if_all_were_sorted(
    catalog: Catalog, order: LineOrder, asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def page(first: int, count: int) -> list[str]:
        found = catalog.images_in_order(order=order, down=down, offset=first, count=count, **asked)
        return [image.id for image in found]

    for down in (True, False):
        with monkeypatch.context() as near:
            near.setattr(far, "FAR", COUNT)
            whole = page(0, COUNT)
        assert len(whole) > 2 * FAR
        for first in (FAR - 1, FAR + 1, len(whole) // 2, len(whole) - PAGE, len(whole) - 1, len(whole), len(whole) + 9):
            assert page(first, PAGE) == whole[first : first + PAGE], (down, first)


@pytest.mark.parametrize("order", sorted({*ORDERS} - {"created_at"}))
@pytest.mark.parametrize("down", [True, False])
def test_a_far_page_sorts_a_part_of_the_list(catalog: Catalog, order: LineOrder, down: bool) -> None:
    total = len(catalog.images_in_order(count=COUNT))
    for first in (total // 2, total - PAGE):
        with asked_of(catalog) as statements:
            assert len(catalog.images_in_order(order=order, down=down, offset=first, count=PAGE)) == PAGE
        counts = sorted_rows(catalog, statements[:])
        assert counts
        assert max(counts) < total * 0.6, (first, counts)


def test_ids_that_tell_nothing_cost_a_sort_and_no_row(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = [image.id for image in catalog.images_in_order(order="name", count=COUNT)]
    for sampled in ("0", "01", "ff", "z"):  # fewer than they should be, or all of them
        monkeypatch.setattr(far, "SAMPLED", sampled)
        for first in (FAR + 1, len(whole) // 2, len(whole) - PAGE):
            found = catalog.images_in_order(order="name", offset=first, count=PAGE)
            assert [image.id for image in found] == whole[first : first + PAGE]
