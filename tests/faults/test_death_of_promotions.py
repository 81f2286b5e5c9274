"""Whatever the moment of a kill -9: `latest` is the old one or the new one, never none; the log is whole; asked again, it is done."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import pytest

from catalog import open_catalog
from catalog.records import Image, Watch, WatchState
from catalog.repository.catalog import Catalog
from deployments.definitions import ROOT
from tests.catalog.rules.promotion.builds import NOW, a_build, a_family
from tests.services.postgresql import url_of

pytestmark = pytest.mark.timeout(3600)
PLACES = ("sqlite", pytest.param("postgresql", marks=pytest.mark.long))


@dataclass
class Doomed:
    """A process whose forks make moves and die in them; each on a family of its own, whose latest is `old` before."""

    process: "subprocess.Popen[str]"
    settings: Mapping[str, str]
    count: int = field(default=0)

    def move(self, name: str, family: str, image: Image, die_at: int) -> tuple[int, int]:
        """Make a move that dies at a step (0: never); return how it ended and how many steps it took."""
        given = {"family": family, "image": image.id}
        asked = {"move": name, "given": given, "die_at": die_at, "settings": self.settings}
        stdin, stdout = pipes(self.process)
        print(json.dumps(asked), file=stdin, flush=True)
        status, steps = stdout.readline().split()
        return int(status), int(steps)

    def family(self, *versions: str, waiting: str = "") -> tuple[str, Sequence[Image]]:
        """Return a new family with these builds, promoted in this order but for one that waits."""
        self.count += 1
        name = f"family{self.count}"
        builds = [
            a_build(version, name=f"{name}-{version}", family=name) for version in (*versions, waiting) if version
        ]
        with open_catalog() as catalog, catalog.changing("admin") as change:
            change.save_family(a_family(name=name))
            builds = [change.save_image(build) for build in builds]
            for build in builds[: len(versions)]:
                change.promote(name, build, "it is good")
            if waiting:
                change.save_watch(a_watch(name))
                change.keep_watch_state(WatchState(watch=f"watch of {name}", waiting=builds[-1].id))
        return name, builds


def a_watch(family: str) -> Watch:
    return Watch(
        name=f"watch of {family}", family=family, kind="url", url="http://example.org/x", created_at=NOW, updated_at=NOW
    )


def pipes(process: "subprocess.Popen[str]") -> tuple[IO[str], IO[str]]:
    assert process.stdin is not None
    assert process.stdout is not None
    return process.stdin, process.stdout


@pytest.fixture(scope="module")
def forking() -> Iterator["subprocess.Popen[str]"]:
    """Yield a process that has loaded what moves need: that takes longer than all its forks of a test."""
    command = [sys.executable, "-m", "tests.faults.dying_family"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        pipes(process)[0].close()


@pytest.fixture
def doomed(
    request: pytest.FixtureRequest,
    forking: "subprocess.Popen[str]",
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Doomed:
    monkeypatch.setenv("IMAGEWRIGHT_CATALOG_URL", url_of(getattr(request, "param", "sqlite"), home.parent))
    return Doomed(forking, {name: value for name, value in os.environ.items() if name.startswith("IMAGEWRIGHT_")})


def latest(catalog: Catalog, family: str) -> str:
    """Return the id of the latest, which has to be what the last promotion made it."""
    (channel,) = catalog.channels(family)
    last = tuple(catalog.promotions(family))[-1]
    assert (last.image_id, last.number) == (channel.image_id, channel.number)
    assert channel.image_id is not None
    return channel.image_id


@dataclass(frozen=True)
class Move:
    """A move that is asked for, of which family and with what image; its latest before, and after the move."""

    name: str
    family: str
    image: Image
    old: Image
    new: Image


def dies_at_every_step(doomed: Doomed, prepared: Callable[[], Move]) -> None:
    """Kill a move at each of its steps. prepared: makes a family and says what is to be done with it."""
    steps = whole(doomed, prepared())
    seen = set[bool]()
    for die_at in range(1, steps + 1):
        seen.add(dies(doomed, prepared(), die_at))
    assert seen == {True, False}
    with open_catalog() as catalog:
        assert catalog.verify_events() > 0
        assert catalog.verify_tables() > 0
        moves = [e.subject for e in catalog.events() if e.subject.startswith("promotion:")]
        assert len(set(moves)) == len(moves) == sum(len(tuple(catalog.promotions(f.name))) for f in catalog.families())


def whole(doomed: Doomed, move: Move) -> int:
    """Make a move that nothing kills; return how many steps it takes."""
    status, steps = doomed.move(move.name, move.family, move.image, 0)
    assert (status, steps > 3) == (0, True)
    with open_catalog() as catalog:
        assert latest(catalog, move.family) == move.new.id
    return steps


def dies(doomed: Doomed, move: Move, die_at: int) -> bool:
    """Kill a move at a step, and ask for it again; tell whether it had been made."""
    said = f"{move.name} killed at step {die_at}"
    assert doomed.move(move.name, move.family, move.image, die_at)[0] == -signal.SIGKILL, said
    with open_catalog() as catalog:
        found = latest(catalog, move.family)
        assert found in (move.old.id, move.new.id), said
    made = found == move.new.id
    if not made or move.name != "roll back":  # it is asked to go back once; all others may be asked again
        assert doomed.move(move.name, move.family, move.image, 0)[0] == 0, said
    with open_catalog() as catalog:
        assert latest(catalog, move.family) == move.new.id, said
    return made


@pytest.mark.parametrize("doomed", PLACES, indirect=True)
def test_a_promotion_is_whole_or_was_not(doomed: Doomed) -> None:
    def prepared() -> Move:
        family, (old,) = doomed.family("1.0")
        new = a_build("2.0", family=None, name=f"{family}-2.0")  # it joins the family with its promotion
        with open_catalog() as catalog, catalog.changing("admin") as change:
            change.save_image(new)
        return Move("promote", family, new, old, new)

    dies_at_every_step(doomed, prepared)


def test_a_rollback_is_whole_or_was_not(doomed: Doomed) -> None:
    def prepared() -> Move:
        family, (old, new) = doomed.family("1.0", "2.0")
        return Move("roll back", family, old, new, old)

    dies_at_every_step(doomed, prepared)


def test_a_recall_is_whole_or_was_not(doomed: Doomed) -> None:
    def prepared() -> Move:
        family, (old, new) = doomed.family("1.0", "2.0")
        child = a_build("web", family=None, name=f"{family}-web", parent=new.id)
        with open_catalog() as catalog, catalog.changing("admin") as change:
            change.save_image(child)
        return Move("recall", family, new, new, old)

    dies_at_every_step(doomed, prepared)
    with open_catalog() as catalog:
        names = [image.name for image in catalog.images() if image.recalled]
    assert {f"family{doomed.count}-web", f"family{doomed.count}-2.0"} <= set(names)


def test_a_family_leaves_what_is_disabled_whole_or_not_yet(doomed: Doomed) -> None:
    def prepared() -> Move:
        family, (old, new) = doomed.family("1.0", "2.0")
        with open_catalog() as catalog, catalog.changing("admin") as change:
            change.save_image(new.model_copy(update={"state": "Disabled"}))
        return Move("leave", family, new, new, old)

    dies_at_every_step(doomed, prepared)


def test_what_a_watch_brought_is_settled_whole_or_goes_on_waiting(doomed: Doomed) -> None:
    def prepared() -> Move:
        family, (old, new) = doomed.family("1.0", waiting="2.0")
        return Move("settle", family, new, old, new)

    dies_at_every_step(doomed, prepared)
    with open_catalog() as catalog:
        assert not [w.name for w in catalog.watches() if catalog.watch_state(w.name).waiting]


def test_a_build_that_is_refused_moves_nothing_whatever_the_moment(doomed: Doomed) -> None:
    def prepared() -> Move:
        family, (old, bad) = doomed.family("1.0", waiting="2.0")
        with open_catalog() as catalog, catalog.changing("admin") as change:
            change.save_image(bad.model_copy(update={"quality": None}))
        return Move("settle", family, bad, old, old)

    steps = whole(doomed, prepared())
    for die_at in range(1, steps + 1):
        dies(doomed, move := prepared(), die_at)
        with open_catalog() as catalog:
            assert catalog.image(move.image.id).state == "Disabled"
            assert catalog.watch_state(f"watch of {move.family}").waiting is None
