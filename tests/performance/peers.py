"""The programs that the engine is compared with: run as a user would, measured from outside."""

import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.performance.engine import Measured


def run(command: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> Measured:
    """Run a command to its end and measure it; a failure is raised with its error output."""
    words = [str(word) for word in command]
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        words,
        env={**os.environ, **(environment or {})},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        check=False,
    )
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise RuntimeError(f"{words[0]} failed: {done.stderr.decode(errors='replace')[-400:]}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Measured(wall=wall, cpu=cpu, rss_mib=after.ru_maxrss >> 10, grown_mib=0)


def engine(verb: str, place: Path, name: Path | str = "", image_id: str = "") -> Measured:
    """Run the engine in a process of its own."""
    command = [sys.executable, "-m", "tests.performance.engine", verb, str(place), str(name), image_id]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[-800:])
    return Measured.model_validate_json(done.stdout)


def md5sum(path: Path) -> Measured:
    """Run md5sum."""
    return run(["md5sum", path])


def stored(folder: Path) -> int:
    """Return the bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


@dataclass(frozen=True)
class Peer:
    """One program with its repository in a folder. name: the program's; `restic max` is the one that compresses as hard as it can."""

    name: str
    folder: Path

    @property
    def there(self) -> bool:
        """Tell whether the program is installed."""
        return shutil.which(self.name.split()[0]) is not None

    def begin(self) -> None:
        """Make an empty repository."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        if self.name == "borg":
            run(["borg", "init", "-e", "none", self._repository], self._environment)
        elif self.name.startswith("restic"):
            run(
                ["restic", "-q", "-r", self._repository, "init", "--repository-version", "2"],
                self._environment,
            )

    def add(self, path: Path, number: int) -> Measured:
        """Add a file."""
        commands: dict[str, list[str | Path]] = {
            "borg": ["borg", "create", "-C", "zstd,1", f"{self._repository}::{number}", path],
            "restic": ["restic", "-q", "-r", self._repository, "backup", path],
            "restic max": ["restic", "-q", "-r", self._repository, "backup", "--compression", "max", path],
            "casync": ["casync", "make", f"--store={self._store}", self.folder / f"{number}.caibx", path],
            "zpaq": ["zpaq", "add", self._archive, path],
        }
        return run(commands[self.name], self._environment)

    def extract(self, path: Path, number: int, target: Path) -> Measured:
        """Write a file that was added to `target`."""
        target.unlink(missing_ok=True)
        commands: dict[str, str] = {
            "borg": f"borg extract --stdout {self._repository}::{number} > {target}",
            "restic": f"restic -q -r {self._repository} dump latest {path} > {target}",
            "casync": f"casync extract --seed-output=no --store={self._store} {self.folder}/{number}.caibx {target}",
        }
        return run(["sh", "-c", commands[self.name]], self._environment)

    @property
    def stored_bytes(self) -> int:
        """Return what the repository takes."""
        if self.name == "zpaq":
            return self._archive.stat().st_size
        return stored(self._store if self.name == "casync" else self._repository)

    @property
    def _repository(self) -> Path:
        return self.folder / "repository"

    @property
    def _archive(self) -> Path:
        return self.folder / "archive.zpaq"

    @property
    def _store(self) -> Path:
        return self.folder / "store.castr"

    @property
    def _environment(self) -> dict[str, str]:
        home = str(self.folder / "home")
        return {"RESTIC_PASSWORD": "bench", "HOME": home, "XDG_CACHE_HOME": home, "BORG_BASE_DIR": home}
