"""Files whose digests were proven: recognised by their look, and read again only if it changed.

A look is inode, size, and the times of the last change of content and of metadata, in nanoseconds. Every write changes
it; the last time can't be set back.
"""

import stat
import time
from pathlib import Path

from catalog.errors import DigestMismatch
from storage.local_files import measure
from storage.protocols import Digests

TICK_S = 0.02
"""Two changes within one tick of the kernel's clock (at most 10 ms) look the same: a look waits until the last is older."""


def size_of(path: Path) -> int | None:
    """Return a file's size in bytes; None if it can't be determined."""
    try:
        return path.stat().st_size
    except OSError:
        return None


def look(path: Path) -> str:
    """Return the present look of a file. Raises OSError, also if it is no regular file."""
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise FileNotFoundError(f"{path} is no file")
    return f"{found.st_ino}:{found.st_size}:{found.st_mtime_ns}:{found.st_ctime_ns}"


def settled_look(path: Path) -> str:
    """Return the look of a file once its last change is old enough for another one to show. Raises OSError."""
    age = time.time() - path.stat().st_ctime
    if 0 <= age < TICK_S:
        time.sleep(TICK_S - age)
    return look(path)


def looks(path: Path, proven: str | None) -> bool:
    """Tell whether a file still looks as it did when it was proven."""
    try:
        return proven is not None and look(path) == proven
    except OSError:
        return False


def prove_file(path: Path, expected: Digests) -> str:
    """Read a file whole and return its look. Raises DigestMismatch if it differs from `expected`, OSError."""
    before = settled_look(path)
    actual = measure(path)
    if actual != expected:
        raise DigestMismatch(str(path), f"sha256:{expected.sha256}", f"sha256:{actual.sha256}")
    if look(path) != before:
        raise DigestMismatch(str(path), f"sha256:{expected.sha256}", "a file that changed while it was read")
    return before
