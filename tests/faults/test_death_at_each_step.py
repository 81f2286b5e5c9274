"""Whatever the moment of a kill -9, the same request afterwards gives the whole image, and nothing else is left."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

from catalog import open_catalog
from catalog.records import ExportedImage, Image, ImageStatus
from catalog.settings import load_settings
from deployments.definitions import ROOT
from flows.requests import AddVolumeImage, ExportImage
from storage.registry import open_image_storage
from tests.services.faulty_http import Faults, FaultyHttp, faulty_http
from tests.services.payload import payload, random_bytes

pytestmark = [pytest.mark.prefect, pytest.mark.timeout(3600)]
MIB = 1 << 20


@payload
def content() -> bytes:
    return random_bytes(40 * MIB, 7) + bytes(8 * MIB)


AT_RISK = 8 * MIB
"""What is not durable yet when a process dies, at most."""
IN_SOCKETS = 10 * MIB
"""What the server counts as sent and nobody has read: the kernel's buffers on both sides."""


@dataclass(frozen=True)
class Doomed:
    """A source, and processes that add it."""

    source: FaultyHttp
    home: Path

    def request(self, image_id: str) -> dict[str, object]:
        """Return the request that is made before the death and after it."""
        return {
            "name": "doomed", "image_format": "raw", "image_path": f"{self.source.url}/image", "image_id": image_id
        }  # fmt: skip

    def add(self, image_id: str, *, die_at: int) -> int:
        """Add the image in a process that dies at a change (0: never); return how many changes a whole add makes."""
        command = [
            sys.executable, "-m", "tests.faults.dying_add", str(self.home / "imagestore"), str(die_at),
            json.dumps(self.request(image_id)),
        ]  # fmt: skip
        done = subprocess.run(
            command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
            check=False, timeout=240,
        )  # fmt: skip
        if die_at:
            assert done.returncode in (-signal.SIGKILL, 0), done.stderr[-2000:]
            return 0
        assert done.returncode == 0, done.stderr[-2000:]
        return int(done.stdout.split()[-1])

    def add_again(self, image_id: str) -> Image:
        """Make the same request in this process."""
        from flows import add_volume_image

        image = add_volume_image(AddVolumeImage.model_validate(self.request(image_id)))
        assert isinstance(image, Image)
        return image


@pytest.fixture
def doomed(home: Path, prefect_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Doomed]:
    monkeypatch.setenv("PREFECT_API_URL", prefect_server)
    monkeypatch.setenv("IMAGEWRIGHT_PARALLEL_RANGES", "1")
    with faulty_http() as source:
        source.serve("/image", Faults(content=content()))
        yield Doomed(source, home)


def survives(doomed: Doomed, die_at: int) -> None:
    """Kill an add at a change, repeat it, and look at everything that is left."""
    image_id, sent = str(uuid4()), doomed.source.body_bytes
    doomed.add(image_id, die_at=die_at)
    with open_catalog() as catalog:
        assert catalog.image(image_id).status in (ImageStatus.DOWNLOADING, ImageStatus.READY)
    image = doomed.add_again(image_id)
    assert (image.status, image.md5, image.error) == (
        ImageStatus.READY,
        hashlib.md5(content()).hexdigest(),
        None,
    )
    assert doomed.source.body_bytes - sent <= len(content()) + AT_RISK + IN_SOCKETS
    with open_catalog() as catalog:
        storage = open_image_storage(catalog.image_storage("default"), settings=load_settings())
        assert [replica.image_storage for replica in catalog.replicas(image_id)] == ["default"]
        assert not list(catalog.reservations())
        assert catalog.lease(image_id).holder is None
    assert not list(storage.landings())
    assert exported_md5(image) == image.md5


def exported_md5(image: Image) -> str:
    from flows import export_image

    exported = export_image(ExportImage(image_id=image.id))
    assert isinstance(exported, ExportedImage)
    with Path(exported.path).open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def test_a_death_while_publishing_loses_nothing(doomed: Doomed) -> None:
    changes = doomed.add(str(uuid4()), die_at=0)
    fresh_changes_again(doomed)
    survives(doomed, changes - 2)


@pytest.mark.long
def test_a_death_at_every_moment_of_an_add_loses_nothing(doomed: Doomed) -> None:
    changes = doomed.add(str(uuid4()), die_at=0)
    fresh_changes_again(doomed)
    for die_at in range(1, changes + 1):
        print(f"death at change {die_at} of {changes}")
        survives(doomed, die_at)
        fresh_changes_again(doomed)


def fresh_changes_again(doomed: Doomed) -> None:
    """Empty the home: chips that are there already would make the next add shorter."""
    import shutil

    for entry in doomed.home.iterdir():
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
