"""Images on a loopback server, for flows to add."""

import gzip
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.services.nginx import nginx
from tests.services.process import find

MIB = 1 << 20


@dataclass(frozen=True)
class Site:
    """Files that a private nginx serves."""

    url: str
    root: Path

    def put(self, name: str, data: bytes) -> str:
        """Serve bytes under a name; return the URL."""
        (self.root / name).write_bytes(data)
        return f"{self.url}/{name}"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    root = tmp_path / "www"
    root.mkdir()
    with nginx(tmp_path / "nginx", root) as server:
        yield Site(server.url, root)


def qcow2(folder: Path, *, compressed: bool = False, size: int = 8 * MIB) -> bytes:
    """Return a real qcow2 that qemu-img made of half-random, half-repeating content."""
    qemu_img = find("qemu-img", "qemu-utils")
    raw, target = folder / "content.raw", folder / "content.qcow2"
    raw.write_bytes(os.urandom(size // 4) + b"imagewright " * (size // 48) + bytes(size // 2))
    raw.open("r+b").truncate(size)
    options = ["-c"] if compressed else []
    subprocess.run([qemu_img, "convert", "-f", "raw", "-O", "qcow2", *options, raw, target], check=True)
    return target.read_bytes()


def zipped(data: bytes) -> bytes:
    """Return data as a gzip file."""
    return gzip.compress(data)
