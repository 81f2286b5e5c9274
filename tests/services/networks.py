"""Networks of their own beside this one, each joined to it by a pair of interfaces."""

import subprocess
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import pytest


def ip(*words: str) -> None:
    """Run `ip`. Raises OSError with what it says."""
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"ip {' '.join(words)}: {done.stderr.strip()}")


@dataclass(frozen=True)
class Network:
    """A network namespace. link: our end of what joins it to us."""

    name: str
    link: str

    @contextmanager
    def cut(self) -> Iterator[None]:
        """Let nothing through for the block; no connection is told."""
        ip("link", "set", self.link, "down")
        try:
            yield
        finally:
            ip("link", "set", self.link, "up")


@contextmanager
def namespace(prefix: str) -> Iterator[Network]:
    """Yield a network namespace that reaches us at `prefix`.1, and is `prefix`.2 itself; skips where none may be made."""
    tag = uuid.uuid4().hex[:6]
    name, ours, theirs = f"iwn{tag}", f"v{tag}a", f"v{tag}b"
    with ExitStack() as stack:
        try:
            ip("netns", "add", name)
            stack.callback(subprocess.run, ["ip", "netns", "del", name], check=False)  # its interfaces go with it
            ip("link", "add", ours, "type", "veth", "peer", "name", theirs, "netns", name)
            ip("addr", "add", f"{prefix}.1/24", "dev", ours)
            ip("link", "set", ours, "up")
            ip("-n", name, "addr", "add", f"{prefix}.2/24", "dev", theirs)
            for its in (theirs, "lo"):
                ip("-n", name, "link", "set", its, "up")
        except OSError as error:
            pytest.skip(f"network namespaces are not permitted here: {error}")
        yield Network(name, ours)
