"""A process that moves an image and kills itself at a chosen write to the target: arguments are folder, image id, step."""

import sys
from pathlib import Path

import pytest

from flows.requests import ChangeImageStorage
from storage.imagestore.objects.directory import DirectoryObjects
from tests.faults.faulty_objects import FaultyObjects, kill
from tests.flows.moving import World


def main(folder: str, image_id: str, step: str) -> None:
    """Move until the step."""
    world = World(Path(folder), pytest.MonkeyPatch())
    world.objects["a"] = DirectoryObjects(Path(folder) / "a")
    world.objects["b"] = FaultyObjects(DirectoryObjects(Path(folder) / "b"), int(step), kill)
    from flows.replicas.move import change_image_storage

    change_image_storage(ChangeImageStorage(image_id=image_id, source="a", target="b"))


if __name__ == "__main__":
    main(*sys.argv[1:])
