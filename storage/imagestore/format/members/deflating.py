"""Deflate as other programs produce it, to reproduce members of files (`table.py`).

GNU gzip has its own deflate, whose bytes no library produces: the program itself is run. Others use zlib, without a
header. The output of a codec depends only on the input bytes and its version, not on how the bytes arrive.
"""

import shutil
import subprocess
import zlib
from collections.abc import Callable, Generator, Iterable, Iterator
from functools import cache
from pathlib import Path
from threading import Thread
from typing import Literal, get_args

import numpy as np
from blake3 import blake3

from catalog.errors import MissingProgram, ProgramFailed
from storage.imagestore.format.codec import Payload
from storage.programs.confine import kill

DeflateName = Literal["zlib-6", "zlib-9", "zlib-1", "gzip-6", "gzip-9", "gzip-1"]
DEFLATES: tuple[DeflateName, ...] = get_args(DeflateName)
"""Library or program, and its level, in the order in which they are tried: short streams match both."""
PROGRAM = "gzip"
PLACES = "/usr/local/bin:/usr/bin:/bin"  # where the program is searched for
HEAD_BYTES = 10  # bytes that the program writes before a stream without a name
WINDOW_BITS, MEMORY_LEVEL = -15, 8
BLOCK_BYTES = 1 << 20


def deflated(name: DeflateName, contents: Iterable[Payload]) -> Generator[bytes]:
    """Yield the deflate stream of some contents; the program's trailer comes after it.

    Raises MissingProgram, ProgramFailed, and any error of `contents`. Closing the iterator ends the program.
    """
    return DEFLATE[name](int(name[-1]), contents)


def _by_library(level: int, contents: Iterable[Payload]) -> Generator[bytes]:
    packer = zlib.compressobj(level, zlib.DEFLATED, WINDOW_BITS, MEMORY_LEVEL)
    for block in contents:
        yield packer.compress(block)
    yield packer.flush()


def _by_program(level: int, contents: Iterable[Payload]) -> Generator[bytes]:
    process = _started(level)
    feeder = _Feeder(process, contents)
    output = process.stdout
    assert output is not None
    try:
        output.read(HEAD_BYTES)
        while block := output.read(BLOCK_BYTES):
            yield block
        feeder.finish()
        if code := process.wait():
            raise ProgramFailed(PROGRAM, f"exit code {code} while it deflated")
    finally:
        kill(process)
        feeder.join()


def _started(level: int) -> "subprocess.Popen[bytes]":
    """Start the program: it ends when its input or output is closed, even if we were killed."""
    path = where()
    if path is None:
        raise MissingProgram(PROGRAM, PROGRAM)
    pipe, none = subprocess.PIPE, subprocess.DEVNULL
    command = [path, f"-{level}", "-n", "-c"]
    try:
        return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=none, cwd="/", env={}, start_new_session=True)
    except OSError as error:
        raise ProgramFailed(PROGRAM, f"it can't be started: {error}") from error


class _Feeder(Thread):
    """Writes contents to a program while another thread reads its output."""

    def __init__(self, process: "subprocess.Popen[bytes]", contents: Iterable[Payload]) -> None:
        super().__init__(name="deflate-contents", daemon=True)
        self._process, self._contents = process, contents
        self._failure: BaseException | None = None
        self.start()

    def run(self) -> None:
        """Write everything, unless the program ends first."""
        pipe = self._process.stdin
        assert pipe is not None
        try:
            with pipe:
                for block in self._contents:
                    pipe.write(block)
        except BrokenPipeError:
            return  # enough was made
        except BaseException as failure:  # noqa: BLE001  # raised where the result is read
            self._failure = failure

    def finish(self) -> None:
        """Wait for the end, and raise any failure."""
        self.join()
        if self._failure is not None:
            raise self._failure


DEFLATE: dict[DeflateName, Callable[[int, Iterable[Payload]], Generator[bytes]]] = {
    name: _by_program if name.startswith(PROGRAM) else _by_library for name in DEFLATES
}


def where() -> str | None:
    """Return the path of the program, None if it is not installed."""
    return shutil.which(PROGRAM, path=PLACES)


def available() -> list[DeflateName]:
    """Return the deflates available on this host."""
    return [name for name in DEFLATES if not name.startswith(PROGRAM) or where()]


def deflate_library(name: DeflateName) -> str:
    """Return name and version of the program or library that deflates here."""
    if not name.startswith(PROGRAM):
        return f"zlib {zlib.ZLIB_RUNTIME_VERSION}"
    path = where()
    return f"no {PROGRAM}" if path is None else _version(path, _stamp(path))


def deflate_gives(name: DeflateName) -> str:
    """Return the BLAKE3, hex, of the output here for fixed samples; "" if there is none."""
    path = where() if name.startswith(PROGRAM) else ""
    try:
        return "" if path is None else _gives(name, path, _stamp(path) if path else 0)
    except ProgramFailed:
        return "nothing"


def _stamp(path: str) -> int:
    return Path(path).stat().st_mtime_ns  # an upgraded host is tested again


@cache
def _version(path: str, _stamp: int) -> str:
    said = subprocess.run([path, "--version"], capture_output=True, stdin=subprocess.DEVNULL, env={}, check=False)
    words = (said.stdout or said.stderr).decode("ascii", "replace").partition("\n")[0]
    return "".join(c for c in words if c.isprintable())[:60] or PROGRAM


@cache
def _gives(name: DeflateName, _path: str, _stamp: int) -> str:
    made = blake3()
    for block in deflated(name, _samples()):
        made.update(block)
    return str(made.hexdigest())


def _samples() -> Iterator[bytes]:
    """Yield bytes of several kinds: noise of more and fewer bits, runs, distant repetitions."""
    noise = np.frombuffer(blake3(b"imagewright members").digest(1 << 16), np.uint8)
    for mask in (1, 7, 31, 127, 255, 7, 1):
        yield (noise & np.uint8(mask)).tobytes()
    yield noise[:9973].tobytes() * 6 + bytes(70_000)


def deflate_here() -> str:
    """Return the deflates of this host: streams that they could not reproduce are not tried with them again."""
    return ", ".join(sorted({deflate_library(name) for name in DEFLATES}))
