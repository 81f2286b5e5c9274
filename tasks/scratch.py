"""Folders on the worker for files that nobody needs tomorrow, also when their process was killed."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

from catalog.settings import Settings

PREFIX = "work-"


@contextmanager
def scratch_folder(settings: Settings, purpose: str) -> Iterator[Path]:
    """Yield an empty folder, deleted afterwards; what dead processes left beside it is deleted first.

    A folder in use is locked by its process, and the kernel unlocks it when that dies, whatever killed it.
    """
    place = settings.scratch_folder
    place.mkdir(parents=True, exist_ok=True)
    with _locked(place):  # nobody sweeps between the making and the locking of a folder
        _sweep(place)
        folder = Path(mkdtemp(dir=place, prefix=f"{PREFIX}{purpose}-"))
        lock = _lock(folder, fcntl.LOCK_EX)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _sweep(place: Path) -> None:
    for folder in place.glob(f"{PREFIX}*"):
        try:
            lock = _lock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            continue  # in use, or just deleted by its owner
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    lock = _lock(folder, fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(lock)


def _lock(folder: Path, how: int) -> int:
    """Return a descriptor that holds the lock until it is closed; no program started meanwhile inherits it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, how)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
