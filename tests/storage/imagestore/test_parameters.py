"""A store is made in two steps: one that broke off between them is ended by the next opening, whatever it is kept in."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from catalog.errors import StorageUnavailable
from storage.imagestore.format.parameters import COPY, NAME, Parameters, differs, load_parameters
from storage.imagestore.format.seal import sealed
from tests.faults.faulty_objects import FaultyObjects
from tests.storage.stores import SMALL, opener


@pytest.mark.parametrize("kind", ["memory", "directory", "s3"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("at", [0, 1])
def test_a_store_whose_making_broke_off_is_made_by_the_next_opening(
    kind: str, at: int, after: bool, tmp_path: Path
) -> None:
    opened = opener(kind, tmp_path)
    with pytest.raises(StorageUnavailable):
        load_parameters(FaultyObjects(opened(), at, after=after), SMALL)
    begun = sorted(i.name for i in opened().list("store.json"))
    assert begun == sorted([COPY, NAME][: at + after]), "the parameters are never there without their copy"
    made = load_parameters(opened(), SMALL)
    assert {i.name for i in opened().list("store.json")} == {NAME, COPY}
    assert differs(opened()) == ""
    assert load_parameters(opened(), Parameters()) == made


def test_what_another_began_is_ended_as_it_began_it(tmp_path: Path) -> None:
    objects = opener("memory", tmp_path)()
    with pytest.raises(StorageUnavailable):
        load_parameters(FaultyObjects(objects, 1), SMALL)
    assert load_parameters(objects, Parameters()).average_bytes == SMALL.average_bytes


def test_a_copy_that_says_nothing_does_not_stop_a_store_from_being_made(tmp_path: Path) -> None:
    objects = opener("memory", tmp_path)()
    objects.put(COPY, sealed(b"{}")[:-1])
    assert load_parameters(objects, SMALL) == load_parameters(objects)
    assert differs(objects) == ""


def test_all_who_make_one_store_at_once_get_the_same(tmp_path: Path) -> None:
    for at in range(20):
        objects = opener("directory", tmp_path / str(at))()
        with ThreadPoolExecutor(4) as pool:
            made = set(pool.map(load_parameters, [objects] * 4))
        assert len(made) == 1
        assert differs(objects) == ""
