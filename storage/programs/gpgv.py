"""gpgv: the only place that runs it. Data, signature and keys are passed as memory files; its status lines are read.

A signature counts if gpgv calls it good and its key is one of those given; signatures of expired or revoked keys do
not. Status lines: GnuPG's doc/DETAILS.
"""

import base64
import binascii
import os
import re
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from catalog.errors import InvalidRequest
from storage.programs.confine import Limits, run

LIMITS = Limits(wall_s=30, cpu_s=20, memory_bytes=512 << 20, output_bytes=64 << 20)
MOST_BYTES = 1 << 20  # of a key, of a signature
_ARMOUR = re.compile(
    r"-----BEGIN PGP (?P<kind>[A-Z ]+)-----\r?\n(?P<head>(?:[A-Za-z]+: [^\n]*\n)*)\r?\n?(?P<body>[A-Za-z0-9+/=\s]+?)"
    r"(?:\n=[A-Za-z0-9+/]{4}\s*)?\n-----END PGP (?P=kind)-----"
)
KEY, SIGNATURE = "PUBLIC KEY BLOCK", "SIGNATURE"
CLEAR_SIGNED = b"-----BEGIN PGP SIGNED MESSAGE-----"


@dataclass(frozen=True, slots=True)
class Signed:
    """Signed data and its signers: fingerprints of primary keys, in order. reason: why there are none."""

    data: bytes = b""
    signed_by: tuple[str, ...] = ()
    reason: str = ""


def dearmoured(text: str, kind: str) -> bytes:
    """Return the contents of armoured text, several blocks joined. kind: KEY or SIGNATURE. Raises InvalidRequest."""
    blocks = [found for found in _ARMOUR.finditer(text.strip() + "\n") if found["kind"] == kind]
    try:
        data = b"".join(base64.b64decode("".join(found["body"].split()), validate=True) for found in blocks)
    except (binascii.Error, ValueError):
        data = b""
    if not data or len(data) > MOST_BYTES:
        raise InvalidRequest(
            "public_keys", f"{text[:30]!r}…", f"armoured text that begins with -----BEGIN PGP {kind}-----"
        )
    return data


def verified(data: bytes, signature: bytes | None, keys: Sequence[str]) -> Signed:
    """Return the data signed by the keys: `data`, or, without a detached signature, the text inside it.

    keys: armoured. Raises MissingProgram, ProgramFailed, InvalidRequest for invalid keys.
    """
    if signature is None and not data.lstrip().startswith(CLEAR_SIGNED):
        return Signed(reason="it is not signed")
    with ExitStack() as opened:
        ring = _in_memory(b"".join(dearmoured(key, KEY) for key in keys), opened)
        subjects = [_in_memory(one, opened) for one in (() if signature is None else (_binary(signature),))]
        subjects.append(_in_memory(data, opened))
        words = ["--status-fd", "2", "--weak-digest", "SHA1", "--keyring", _path(ring)]
        words += [] if signature is not None else ["--output", "-"]
        output = run("gpgv", [*words, *map(_path, subjects)], LIMITS, pass_fds=[ring, *subjects])
    signed_by = _good(output.err.decode("utf-8", "replace"))
    if not signed_by:
        return Signed(reason=_reason(output.err.decode("utf-8", "replace")))
    return Signed(data if signature is not None else output.out, signed_by)


def _binary(signature: bytes) -> bytes:
    if len(signature) > MOST_BYTES or not signature.lstrip().startswith(b"-----BEGIN"):
        return signature[:MOST_BYTES]
    try:
        return dearmoured(signature.decode("ascii", "replace"), SIGNATURE)
    except InvalidRequest:
        return b""


def _good(status: str) -> tuple[str, ...]:
    """Return the primary keys of good signatures.

    GOODSIG is never reported for an expired or revoked key; VALIDSIG follows it.
    """
    found: list[str] = []
    good = False
    for line in status.splitlines():
        words = line.removeprefix("[GNUPG:] ").split() if line.startswith("[GNUPG:] ") else [""]
        if words[0] in ("GOODSIG", "BADSIG", "EXPSIG", "EXPKEYSIG", "REVKEYSIG", "ERRSIG", "NEWSIG"):
            good = words[0] == "GOODSIG"
        elif words[0] == "VALIDSIG" and good and len(words) > 10:
            found.append(words[10])
    return tuple(dict.fromkeys(found))


_SAID = {
    "BADSIG": "its signature is wrong: it is not what was signed",
    "EXPSIG": "its signature has expired",
    "EXPKEYSIG": "it is signed by a key that has expired",
    "REVKEYSIG": "it is signed by a key that was revoked",
    "NO_PUBKEY": "it is signed by another key than those given",
    "ERRSIG": "its signature can't be checked",
    "NODATA": "there is no signature",
}


def _reason(status: str) -> str:
    said = {line.split()[1] for line in status.splitlines() if line.startswith("[GNUPG:] ") and len(line.split()) > 1}
    return next((sentence for name, sentence in _SAID.items() if name in said), "no good signature was found")


def _path(number: int) -> str:
    return f"/proc/self/fd/{number}"


def _in_memory(data: bytes, opened: ExitStack) -> int:
    number = os.memfd_create("openpgp")
    opened.callback(os.close, number)
    view = memoryview(data)
    while view:
        view = view[os.write(number, view) :]
    return number
