"""kill -9 of a process that moves an image: its lock is taken over, what it copied is kept, running again ends right."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from catalog.records import Image, ImageStatus
from flows.requests import ChangeImageStorage
from tests.faults.faulty_objects import FaultyObjects
from tests.flows.moving import World, in_one_run, noise, read_all
from tests.services.payload import payload
from tests.storage.imagestore.counted import CountingObjects

pytestmark = pytest.mark.prefect
ROOT = Path(__file__).parents[2]


@payload
def content() -> bytes:
    return noise(3 << 20)


@pytest.fixture
def world(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(tmp_path / "stores", monkeypatch)
    for name in ("a", "b"):
        made.store(name)
    return made


def move(image: Image) -> None:
    from flows.replicas.move import change_image_storage

    change_image_storage.fn(ChangeImageStorage(image_id=image.id, source="a", target="b"))


def die(world: World, image: Image, step: int) -> None:
    """Move in another process, which is killed at that write."""
    command = [sys.executable, "-m", "tests.faults.dying_move", str(world.folder), image.id, str(step)]
    done = subprocess.run(
        command, cwd=ROOT, env=dict(os.environ), capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]


@pytest.mark.parametrize(("part", "most"), [(0.3, 1.1), (0.9, 0.5)])
def test_a_move_that_is_killed_is_gone_on_with_by_another_process(world: World, part: float, most: float) -> None:
    rehearsal = world.add(world.open_store("a"), noise(3 << 20, 7))
    image = world.add(world.open_store("a"), content())
    target = world.objects["b"]

    def work() -> None:
        world.objects["b"] = counted = FaultyObjects(target)
        move(rehearsal)
        world.objects["b"] = target
        die(world, image, int(part * len(counted.steps)))
        assert world.image(image.id).status is ImageStatus.MIGRATING
        assert world.wholes(image) == {"a"}
        with world.catalog() as catalog:
            assert catalog.lease(image.id).holder
        world.objects["b"] = again = CountingObjects(target)
        move(image)
        world.objects["b"] = target
        assert again.written_bytes < most * len(content())  # what was durable was not written again

    in_one_run(work)
    assert world.wholes(image) == {"b"}
    assert world.image(image.id).status is ImageStatus.READY
    assert read_all(world.open_store("a"), image.id) == content()
    assert list(world.open_store("b").landings()) == []
