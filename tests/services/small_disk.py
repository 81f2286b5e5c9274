"""A disk of a few MiB that is really full when it is full: a file system in memory, mounted for one test."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

BALLAST = "ballast"
STEP = 64 << 10


@dataclass(frozen=True)
class SmallDisk:
    """A mounted file system. root: where."""

    root: Path

    @property
    def free_bytes(self) -> int:
        """Room that a user has."""
        room = os.statvfs(self.root)
        return room.f_bavail * room.f_frsize

    def leave(self, free_bytes: int) -> None:
        """Let somebody else take all the room there is now but this; what others give back meanwhile stays free."""
        over = self.free_bytes - free_bytes
        with (self.root / BALLAST).open("ab", buffering=0) as file, suppress(OSError):
            while over > 0:
                over -= file.write(bytes(min(STEP, over)))

    def relieve(self) -> None:
        """Give the room back that somebody else took."""
        (self.root / BALLAST).unlink(missing_ok=True)


@contextmanager
def small_disk(root: Path, size_bytes: int) -> Iterator[SmallDisk]:
    """Mount one at `root`. Skips where mounting is not permitted."""
    root.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size_bytes},mode=0755", "tmpfs", str(root)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("needs root and the right to mount, for a disk that can be filled")
    try:
        yield SmallDisk(root)
    finally:
        subprocess.run(["umount", "--lazy", root], check=True)  # lazily: index segments stay mapped
