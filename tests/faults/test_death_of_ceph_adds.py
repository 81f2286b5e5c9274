"""A kill -9 of an add to a Ceph pool, at every change it makes: the same request ends it, and nothing else is left."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from uuid import uuid4

import pytest

from catalog import open_catalog
from catalog.records import ExportedImage, Image, ImageStatus
from deployments.definitions import ROOT
from flows.requests import AddVolumeImage, ExportImage
from tests.flows.ceph import register_pool
from tests.flows.managed import opened
from tests.services.ceph import CephCluster
from tests.services.nginx import Nginx, nginx
from tests.services.payload import payload, random_bytes
from tests.services.process import find

pytestmark = [pytest.mark.prefect, pytest.mark.xdist_group("ceph"), pytest.mark.timeout(3600)]
MIB = 1 << 20


@payload
def whole() -> bytes:
    return random_bytes(9 * MIB, 7) + b"imagewright " * (MIB // 4) + bytes(12 * MIB)


IN_BUFFERS = 6 * MIB  # sent to a process that died before it had read it, on both sides of the connection
Kind = Literal["raw", "qcow2", "compressed"]
KINDS: tuple[Kind, ...] = ("raw", "qcow2", "compressed")


@dataclass(frozen=True)
class Doomed:
    """A cluster, files on a server, and a process whose children add them."""

    cluster: CephCluster
    pool: str
    server: Nginx
    adder: "subprocess.Popen[str]"

    def request(self, kind: Kind, image_id: str) -> AddVolumeImage:
        """Return the request that is made before the death and after it."""
        return AddVolumeImage(
            name="doomed", image_format="raw" if kind == "raw" else "qcow2", image_path=f"{self.server.url}/{kind}",
            image_id=image_id, image_storages=("ceph",),
        )  # fmt: skip

    def add(self, kind: Kind, image_id: str, *, die_at: int) -> list[str] | int:
        """Add an image in a process that dies at a change (0: never); return the changes, or what it died of."""
        assert self.adder.stdin is not None
        assert self.adder.stdout is not None
        self.adder.stdin.write(f"{die_at} {self.request(kind, image_id).model_dump_json()}\n")
        self.adder.stdin.flush()
        answer: list[str] | int = json.loads(self.adder.stdout.readline())
        return answer

    def changes(self, kind: Kind) -> list[str]:
        """Return the names of the changes that a whole add makes."""
        image_id = str(uuid4())
        changes = self.add(kind, image_id, die_at=0)
        assert isinstance(changes, list), f"an add that nobody killed ended with {changes}"
        self.expunge(image_id)
        return changes

    def expunge(self, image_id: str) -> None:
        """Delete what is published of an image and see that the pool is empty then."""
        opened("ceph").delete(image_id)
        assert self.cluster.leftovers(self.pool) == []

    def survives(self, kind: Kind, die_at: int) -> None:
        """Kill an add at a change, repeat it, and look at everything that is left."""
        image_id = str(uuid4())
        before = self.server.bytes_sent()
        assert self.add(kind, image_id, die_at=die_at) == -signal.SIGKILL
        image = self.add_again(kind, image_id)
        size = (self.server.root / kind).stat().st_size
        assert self.server.bytes_sent() - before <= size + IN_BUFFERS, "it was fetched again"
        assert (image.status, image.error) == (ImageStatus.READY, None)
        with open_catalog() as catalog:
            assert not list(catalog.reservations())
            assert catalog.lease(image_id).holder is None
        assert list(opened("ceph").landings()) == []
        assert self.cluster.rbd("trash", "ls", "--all", self.pool) == ""
        assert exported(image) == whole()
        self.expunge(image_id)

    def add_again(self, kind: Kind, image_id: str) -> Image:
        """Make the same request in this process."""
        from flows import add_volume_image

        image = add_volume_image(self.request(kind, image_id))
        assert isinstance(image, Image)
        return image


def exported(image: Image) -> bytes:
    from flows import export_image

    found = export_image(ExportImage(image_id=image.id))
    assert isinstance(found, ExportedImage)
    content = Path(found.path).read_bytes()
    Path(found.path).unlink()
    return content


@pytest.fixture
def doomed(home: Path, prefect_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Doomed]:
    cluster, pool = register_pool(monkeypatch)
    monkeypatch.setenv("PREFECT_API_URL", prefect_server)
    files = home.parent / "www"
    files.mkdir()
    make_files(files)
    with nginx(home.parent / "nginx", files) as server, adding() as adder:
        yield Doomed(cluster, pool, server, adder)


def adding() -> "subprocess.Popen[str]":
    """Start the process whose children add; it ends with its input."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.faults.dying_ceph_add"], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip


def make_files(folder: Path) -> None:
    """Write the content in all formats."""
    (folder / "raw").write_bytes(whole())
    convert = [find("qemu-img", "qemu-utils"), "convert", "-f", "raw", "-O", "qcow2"]
    subprocess.run([*convert, folder / "raw", folder / "qcow2"], check=True)
    subprocess.run([*convert, "-c", folder / "raw", folder / "compressed"], check=True)


def test_a_death_late_in_an_add_loses_nothing(doomed: Doomed) -> None:
    late: tuple[tuple[Kind, str], ...] = (
        ("raw", "protect_snap"), ("qcow2", "rename"), ("compressed", "aio_write")
    )  # fmt: skip
    for kind, change in late:
        changes = doomed.changes(kind)
        doomed.survives(kind, len(changes) - changes[::-1].index(change))


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
def test_a_death_at_every_change_of_an_add_loses_nothing(doomed: Doomed, kind: Kind) -> None:
    changes = doomed.changes(kind)
    for die_at, name in enumerate(changes, start=1):
        print(f"death at change {die_at} of {len(changes)}: {name}")
        doomed.survives(kind, die_at)
