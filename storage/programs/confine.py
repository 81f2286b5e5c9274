"""Run a program that reads hostile bytes with few rights, few resources, and a time limit.

The chain is `unshare --net setpriv sh prlimit PROGRAM`: no code of ours runs between fork and exec, so it is safe in
threads. The program dies with us: by the parent-death signal, and `sh` ends it if we were gone before that was set. Its
whole group is killed on any exception. It has no network, cannot gain privileges, starts in an empty folder with an
almost empty environment, and its output is cut off at a limit.
"""

import os
import selectors
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from tempfile import TemporaryDirectory

from catalog.errors import MissingProgram, ProgramFailed

MAX_OUTPUT = 4 << 20
_UNLESS_ORPHANED = '[ "$PPID" = "$0" ] && exec "$@"'
SILENT: Callable[[bytes], None] = lambda _: None  # noqa: E731


@dataclass(frozen=True, slots=True)
class Limits:
    """Resource limits of a program. Sizes in bytes, times in seconds."""

    wall_s: float = 60
    cpu_s: int = 60
    memory_bytes: int = 2 << 30  # address space: qemu-img needs 1.2 GiB of it for its threads, 25 MB of it resident
    file_bytes: int = 0  # largest file it may write
    output_bytes: int = MAX_OUTPUT


@dataclass(frozen=True, slots=True)
class Output:
    """The exit code and output of a program."""

    code: int  # negative: killed by that signal
    out: bytes
    err: bytes

    @property
    def _end(self) -> str:
        return f"killed by {signal.Signals(-self.code).name}" if self.code < 0 else f"exit code {self.code}"

    @property
    def complaint(self) -> str:
        """The last lines of its error output, printable, at most 500 characters."""
        text = self.err.decode("utf-8", "replace").strip() or self._end
        return "".join(c if c.isprintable() else " " for c in text)[-500:]


def confined(program: str, limits: Limits) -> list[str]:
    """Return the command prefix for a program's arguments, including the program, to be started by this process.

    Raises MissingProgram.
    """
    path = shutil.which(program)
    if path is None:
        raise MissingProgram(program, _PACKAGES.get(program, program))
    caps = [
        f"--cpu={limits.cpu_s}:{limits.cpu_s + 2}",  # soft limit: a signal that names the reason; hard limit: the end
        f"--as={limits.memory_bytes}",
        f"--fsize={limits.file_bytes}",
        "--core=0",
        "--nofile=256",
    ]
    return [
        *_without_network(),
        *("setpriv", "--pdeathsig", "KILL", "--no-new-privs"),
        *("sh", "-c", _UNLESS_ORPHANED, str(os.getpid())),
        *("prlimit", *caps, path),
    ]


@contextmanager
def running(
    command: Sequence[str], *, pass_fds: Sequence[int] = (), errors: int = subprocess.PIPE
) -> Iterator["subprocess.Popen[bytes]"]:
    """Start a confined command in its own group and an empty folder; both are removed afterwards in any case."""
    with TemporaryDirectory(prefix="imagewright-") as empty:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            cwd=empty,
            env={"PATH": os.defpath, "LC_ALL": "C", "HOME": empty, "TMPDIR": empty},
            start_new_session=True,
            pass_fds=pass_fds,
        )
        try:
            yield process
        finally:
            kill(process)


def kill(process: "subprocess.Popen[bytes]") -> None:
    """Kill the program and everything it started, and wait for it. A no-op once it has ended."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()


def run(
    program: str,
    arguments: Sequence[str],
    limits: Limits,
    on_output: Callable[[bytes], None] = SILENT,
    *,
    pass_fds: Sequence[int] = (),
) -> Output:
    """Run a program to its end, passing its standard output to `on_output` as it arrives.

    pass_fds: descriptors of ours that it gets, under the same numbers.
    Raises MissingProgram; ProgramFailed if a limit is exceeded: time, processor time, file size, output.
    """
    with running([*confined(program, limits), *arguments], pass_fds=pass_fds) as process:
        printed = _Printed(program, limits, on_output)
        printed.collect(process)
        code = process.wait()
    if -code in _LIMIT_SIGNALS:
        raise ProgramFailed(program, f"it used more than its {_LIMIT_SIGNALS[signal.Signals(-code)]}")
    return Output(code, bytes(printed.out), bytes(printed.err))


class _Printed:
    """The output of a program so far, read as it arrives."""

    def __init__(self, program: str, limits: Limits, on_output: Callable[[bytes], None]) -> None:
        self.out, self.err = bytearray(), bytearray()
        self._program, self._limits, self._on_output = program, limits, on_output

    def collect(self, process: "subprocess.Popen[bytes]") -> None:
        """Read both pipes to their end. Raises ProgramFailed if time or output exceed their limits."""
        end = time.monotonic() + self._limits.wall_s
        with selectors.DefaultSelector() as selector:
            for pipe, kept in ((process.stdout, self.out), (process.stderr, self.err)):
                if pipe is not None:
                    selector.register(pipe, selectors.EVENT_READ, kept)
            while selector.get_map():
                ready = selector.select(max(end - time.monotonic(), 0))
                if not ready:
                    raise ProgramFailed(self._program, f"it took more than {self._limits.wall_s:g} s")
                for key, _ in ready:
                    if not self._take(os.read(key.fd, 1 << 16), key.data):
                        selector.unregister(key.fileobj)

    def _take(self, data: bytes, kept: bytearray) -> bool:
        kept += data
        if kept is self.out and data:
            self._on_output(data)
        if len(self.out) + len(self.err) > self._limits.output_bytes:
            raise ProgramFailed(self._program, f"it printed more than {self._limits.output_bytes} bytes")
        return bool(data)


@cache
def _without_network() -> tuple[str, ...]:
    """Return how this process may start a program without network; empty if the kernel forbids it."""
    for words in (("unshare", "--net"), ("unshare", "--user", "--map-current-user", "--net")):
        if (
            shutil.which("unshare")
            and subprocess.run([*words, "true"], capture_output=True, check=False).returncode == 0
        ):
            return words
    return ()


_LIMIT_SIGNALS = {signal.SIGXCPU: "processor time", signal.SIGXFSZ: "largest file size"}
_PACKAGES = {
    "file": "file",
    "qemu-img": "qemu-utils",
    "qemu-system-x86_64": "qemu-system-x86",
    "qemu-system-aarch64": "qemu-system-arm",
}
