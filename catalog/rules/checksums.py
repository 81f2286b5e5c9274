"""Checksums that a source publishes: `algorithm:hex`, or `sums:<URL>` of a file that lists them."""

import re
from collections.abc import Mapping

from catalog.errors import InvalidRequest
from catalog.records import Record

DIGITS: Mapping[str, int] = {"md5": 32, "sha1": 40, "sha256": 64, "sha512": 128}
SUMS = "sums:"
CHECKSUM_RULE = (
    "give md5:, sha1:, sha256: or sha512: and the checksum in hex, sums: and the URL of a list, "
    "or sums: alone for a list next to the file"
)


class Checksum(Record):
    """A checksum: algorithm as hashlib names it, lower-case hex."""

    algorithm: str
    hex: str

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.hex}"


def parse_checksum(given: str, parameter: str = "expected_checksum") -> Checksum:
    """Read `sha256:…`; case and surrounding spaces don't matter. Raises InvalidRequest."""
    algorithm, _, digits = given.strip().lower().partition(":")
    if algorithm not in DIGITS:
        raise InvalidRequest(parameter, given, CHECKSUM_RULE)
    if not re.fullmatch("[0-9a-f]+", digits) or len(digits) != DIGITS[algorithm]:
        raise InvalidRequest(parameter, given, f"{algorithm} has {DIGITS[algorithm]} hexadecimal digits")
    return Checksum(algorithm=algorithm, hex=digits)


def check_expected_checksum(given: str | None) -> None:
    """Raise InvalidRequest unless this is None, a checksum, or `sums:` alone or with the URL of a list of checksums."""
    if given is None:
        return
    if not given.startswith(SUMS):
        parse_checksum(given)
    elif given != SUMS and not re.match(r"(https?|ftp|sftp|s3|file)://", given.removeprefix(SUMS)):
        raise InvalidRequest("expected_checksum", SUMS + "…", CHECKSUM_RULE)
