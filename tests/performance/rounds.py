"""What every comparison needs: a scratch folder, the Debian disks, paired runs and their rows."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.performance.engine import Measured
from tests.performance.peers import engine, run, stored
from tests.performance.report import Figure, Row

GIB = 1 << 30
TOUCHED = 3 * GIB


class Rounds:
    """Paired runs in a scratch folder, and what came of them."""

    def __init__(self, folder: Path, disks: Path, runs: int) -> None:
        self.folder, self.disks, self.runs = folder, disks, runs
        self.rows: list[Row | Figure] = []
        self.notes: list[str] = []

    def median(self, *works: Callable[[], Measured]) -> list[Measured]:
        """Run all, one after the other, several times; return the median of each by wall time."""
        results: list[list[Measured]] = [[] for _ in works]
        for _ in range(self.runs):
            for work, found in zip(works, results, strict=True):
                self._touch()
                found.append(work())
        return [sorted(found, key=lambda m: m.wall)[len(found) // 2] for found in results]

    def _touch(self) -> None:
        """Have the machine own the memory that a run may fill the folder with, if that is where the folder lies."""
        if not self.folder.is_relative_to("/dev/shm"):
            return
        target = self.folder / "touched"
        run(["dd", "if=/dev/zero", f"of={target}", "bs=4M", f"count={TOUCHED >> 22}"])
        target.unlink()

    def fresh(self) -> Path:
        """Return the folder of a store that is not there yet."""
        store = self.folder / "store"
        shutil.rmtree(store, ignore_errors=True)
        return store

    def first(self, path: Path) -> Measured:
        """Add a file to a new store."""
        return engine("add", self.fresh(), path, "0")

    def second(self, path: Path) -> Measured:
        """Add a file to a store that has the base of it."""
        store = self.fresh()
        engine("add", store, path.with_name(path.name.replace("rebuilt", "base")), "0")
        return engine("add", store, path, "1")

    def stored(self, files: Sequence[Path]) -> int:
        """Return the bytes of a new store with these files."""
        store = self.fresh()
        for number, path in enumerate(files):
            engine("add", store, path, str(number))
        return stored(store)
