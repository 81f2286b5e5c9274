"""Temporary folders on the worker, cleaned up even if their process was killed."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

from catalog.files import locked, open_locked
from catalog.privacy import make_folder
from catalog.settings import Settings

PREFIX = "work-"


@contextmanager
def scratch_folder(settings: Settings, purpose: str) -> Iterator[Path]:
    """Yield an empty folder, deleted afterwards; leftovers of dead processes beside it are deleted first.

    A folder in use is locked by its process; the kernel releases the lock when the process dies, however it dies.
    """
    place = settings.scratch_folder
    make_folder(place)
    with locked(place):  # no process sweeps between the creation and the locking of a folder
        _sweep(place)
        folder = Path(mkdtemp(dir=place, prefix=f"{PREFIX}{purpose}-"))
        lock = open_locked(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _sweep(place: Path) -> None:
    for folder in place.glob(f"{PREFIX}*"):
        try:
            lock = open_locked(folder, wait=False)
        except OSError:
            continue  # in use, or just deleted by its owner
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)
