"""A user with a password that exists only for one server process: nothing of the machine's accounts is changed.

The server runs in a mount namespace of its own in which /etc/passwd, /etc/shadow and a PAM file are ours.
"""

import os
import subprocess
from functools import lru_cache
from pathlib import Path

import pytest

from tests.services.process import find

USER = "imagewright"
PASSWORD = "p@ss/w:rd"  # every character that a URL must escape
ESCAPED = "p%40ss%2Fw%3Ard"


def with_private_user(folder: Path, home: Path, command: list[str], pam: str = "") -> list[str]:
    """Return `command` wrapped so that USER with PASSWORD exists for it. Skips where that is impossible."""
    if not _namespaces():
        pytest.skip("needs root and the right to make mount namespaces, for a user with a password")
    hashed = subprocess.run(
        [find("openssl", "openssl"), "passwd", "-6", PASSWORD], check=True, capture_output=True, text=True
    ).stdout.strip()
    _extend("/etc/passwd", folder / "passwd", f"{USER}:x:0:0::{home}:/bin/sh\n", 0o644)
    _extend("/etc/shadow", folder / "shadow", f"{USER}:{hashed}:19000:0:99999:7:::\n", 0o600)
    mounts = [(folder / "passwd", "/etc/passwd"), (folder / "shadow", "/etc/shadow")]
    if pam:
        (folder / "pam").write_text("auth required pam_unix.so nodelay\naccount required pam_unix.so\n")
        mounts.append((folder / "pam", pam))
    script = " && ".join(f"mount --bind {ours} {theirs}" for ours, theirs in mounts)
    return ["unshare", "--mount", "sh", "-c", f'{script} && exec "$@"', "sh", *command]


@lru_cache(maxsize=1)
def _namespaces() -> bool:
    if os.geteuid() != 0:
        return False
    return subprocess.run(["unshare", "--mount", "true"], check=False, capture_output=True).returncode == 0


def _extend(original: str, copy: Path, line: str, mode: int) -> None:
    copy.touch(mode)
    copy.write_text(Path(original).read_text() + line)
