"""A publisher's OpenPGP keys, made on the spot by gpg in a home of their own."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.services.process import find


@dataclass(frozen=True)
class Publisher:
    """Somebody with a key."""

    home: Path

    def gpg(self, *words: str, data: bytes = b"") -> bytes:
        """Run gpg as this publisher."""
        command = [
            find("gpg", "gnupg"),
            "--batch",
            "--yes",
            "--quiet",
            "--pinentry-mode",
            "loopback",
            "--passphrase",
            "",
            *words,
        ]
        environment = {**os.environ, "GNUPGHOME": str(self.home)}
        return subprocess.run(command, input=data, env=environment, check=True, capture_output=True, timeout=60).stdout

    @property
    def key(self) -> str:
        """The public key, armoured."""
        return self.gpg("--armor", "--export").decode()

    def signed(self, data: bytes) -> bytes:
        """Return data clear-signed."""
        return self.gpg("--clearsign", "--output", "-", data=data)

    def signature(self, data: bytes, *, armour: bool = True) -> bytes:
        """Return a signature beside the data."""
        return self.gpg(*(["--armor"] if armour else []), "--detach-sign", "--output", "-", data=data)


def publisher(home: Path, expires: str = "0") -> Publisher:
    """Make a publisher's key. expires: as gpg takes it, `seconds=1`."""
    home.mkdir(mode=0o700, parents=True)
    made = Publisher(home)
    made.gpg("--quick-gen-key", "Publisher <images@example.org>", "ed25519", "sign", expires)
    return made
