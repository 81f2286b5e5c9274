"""The packages of rpm's databases are those that `rpm -qa` says, of each kind; and damaged ones raise nothing of their own."""

import random
from collections.abc import Mapping
from pathlib import Path

import pytest

from storage.boot.probe.inventory import rpm
from tests.services import rpm_databases
from tests.storage.boot.test_contents import tree

KINDS = tuple(rpm_databases.FILES)
ROUNDS = 150
MANY = 33_334


@pytest.fixture(scope="module")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, tuple[Path, set[tuple[str, ...]]]]:
    folder = tmp_path_factory.mktemp("rpm")
    made = rpm_databases.packages(folder)
    return {kind: rpm_databases.database(folder, made, kind) for kind in KINDS}


def read(kind: str, data: bytes) -> tuple[list[dict[str, str]], str]:
    found = rpm.packages(tree(**{f"usr|lib|sysimage|rpm|{rpm_databases.FILES[kind]}": data}))
    assert found is not None
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_the_packages_are_those_that_rpm_says(
    databases: Mapping[str, tuple[Path, set[tuple[str, ...]]]], kind: str
) -> None:
    file, said = databases[kind]
    found, unread = read(kind, file.read_bytes())
    assert unread == ""
    assert {(one["name"], one["version"], one["arch"], source_file(one)) for one in found} == said
    assert len(found) == len(said) == 2 * len(rpm_databases.PACKAGES)


def source_file(row: Mapping[str, str]) -> str:
    """Return the file that a package was built from, as its name, its version and what differs from them tell."""
    version = row.get("source_version") or row["version"]
    return f"{row.get('source') or row['name']}-{version.rpartition(':')[2]}.src.rpm"


def mutated(kind: str, whole: bytes, rounds: int) -> None:
    rng = random.Random(29)
    for _ in range(rounds):
        data = bytearray(whole)
        for _ in range(rng.randrange(1, 30)):
            data[rng.randrange(len(data))] = rng.choice((0, 1, 255, rng.randrange(256)))
        if rng.random() < 0.3:
            del data[rng.randrange(len(data)) + 1 :]
        read(kind, bytes(data))


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_ones_raise_nothing_of_their_own(
    databases: Mapping[str, tuple[Path, set[tuple[str, ...]]]], kind: str
) -> None:
    mutated(kind, databases[kind][0].read_bytes(), ROUNDS)


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", KINDS)
def test_a_hundred_thousand_damaged_ones_raise_nothing_of_their_own(
    databases: Mapping[str, tuple[Path, set[tuple[str, ...]]]], kind: str
) -> None:
    mutated(kind, databases[kind][0].read_bytes(), MANY)
