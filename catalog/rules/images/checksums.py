"""Expected checksums: `algorithm:hex`, or `sums:<URL>` of a file that lists them."""

import re
import unicodedata
from collections.abc import Callable, Mapping
from types import MappingProxyType

from pydantic import Field

from catalog.errors import InvalidRequest
from catalog.records import Record
from catalog.rules.storages.sources import is_address

DIGITS: Mapping[str, int] = MappingProxyType(
    {
        "sha512": 128, "sha3_512": 128, "blake2b": 128, "sha384": 96, "sha3_384": 96, "sha256": 64, "sha3_256": 64,
        "blake3": 64, "blake2s": 64, "sha224": 56, "sha3_224": 56, "sha1": 40, "md5": 32,
    }
)  # fmt: skip
"""Algorithm, as hashlib names it → number of hex digits. Of several in a list, the first one here is used."""
SUMS = "sums:"
CHECKSUM_RULE = (
    "give the algorithm, a colon and the checksum in hex, such as sha256:… (sha512, sha3-512, blake2b, sha384, sha1, "
    "md5 and others), sums: and the URL of a list, or sums: alone for a list next to the file"
)
_SPELT = re.compile(
    r"(?P<sha2>sha[-_ ]?(?:2[-_ ])?(?P<bits>224|256|384|512))|(?P<sha3>sha[-_]?3[-_ ](?P<bits3>224|256|384|512))"
    r"|(?P<sha1>sha[-_ ]?1)|(?P<md5>md[-_ ]?5)|(?P<b>blake[-_ ]?2b(?:[-_ ]?512)?)|(?P<s>blake[-_ ]?2s(?:[-_ ]?256)?)"
    r"|(?P<three>blake[-_ ]?3)"
)
_PROGRAM = re.compile(r"(?<=\d)[-_ ]?(?:sums?|digest|hash)\Z")  # sha256sum, sha256digest
_TYPED = str.maketrans({"\uff1a": ":", "\uff1d": "=", **dict.fromkeys("\"'`\u201c\u201d\u2018\u2019")})
"""The colon and equals sign of a Chinese keyboard; quotes."""
_BSD = re.compile(r"(?P<label>[^()]+)\(.*\)=(?P<digits>.*)")
_PAIR = re.compile(r"(?P<label>[^:=]*)[:=](?P<digits>.*)")


class Checksum(Record):
    """A checksum: algorithm as hashlib names it, lower-case hex."""

    algorithm: str
    hex: str

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.hex}"

    def shown(self, mask: Callable[[str], str]) -> str:  # noqa: ARG002  # it has no secret
        """Return what an image keeps of it."""
        return str(self)


class ChecksumList(Record):
    """A list that has the checksum. url: of the list, with its secrets; empty: at a usual place next to the file."""

    url: str = Field(default="", repr=False)

    def __str__(self) -> str:
        return SUMS + self.url

    def shown(self, mask: Callable[[str], str]) -> str:
        """Return what an image keeps of it. mask: takes the secrets out of an address."""
        return SUMS + mask(self.url)


def algorithm_of(label: str) -> str | None:
    """Return the algorithm for a label such as SHA-256, SHA2-256, SHA3-512 or BLAKE2b, None if it is unknown."""
    found = _SPELT.fullmatch(_PROGRAM.sub("", label.strip().lower()))
    if found is None:
        return None
    if found["sha2"]:
        return f"sha{found['bits']}"
    if found["sha3"]:
        return f"sha3_{found['bits3']}"
    return {"sha1": "sha1", "md5": "md5", "b": "blake2b", "s": "blake2s", "three": "blake3"}[found.lastgroup or ""]


def parse_checksum(given: str) -> Checksum:
    """Parse `sha256:…` as people paste it: any case, white space, quotes, `=`, and `SHA256 (name) = …`.

    Raises InvalidRequest.
    """
    text = _visible(given)
    found = _BSD.fullmatch(text) or _PAIR.fullmatch(text)
    algorithm = algorithm_of(found["label"]) if found else None
    if found is None or algorithm is None:
        raise InvalidRequest("expected_checksum", given, CHECKSUM_RULE)
    digits = found["digits"]
    if not re.fullmatch("[0-9a-f]+", digits) or len(digits) != DIGITS[algorithm]:
        raise InvalidRequest(
            "expected_checksum", given, f"{algorithm} has {DIGITS[algorithm]} hexadecimal digits, {_told(digits)}"
        )
    return Checksum(algorithm=algorithm, hex=digits)


def read_expected(given: str | None) -> Checksum | ChecksumList | None:
    """Parse an expected checksum: a checksum, a list that has it, or nothing. Raises InvalidRequest."""
    if given is None:
        return None
    text = given.strip()
    if text[: len(SUMS)].lower() != SUMS:
        return parse_checksum(given)
    url = text[len(SUMS) :].strip()
    if url and not is_address(url):
        raise InvalidRequest("expected_checksum", SUMS + "…", CHECKSUM_RULE)
    return ChecksumList(url=url)


def _visible(text: str) -> str:
    """Drop quotes and invisible characters, such as the spaces and marks that come with text copied from a page."""
    typed = text.lower().translate(_TYPED)
    return "".join(c for c in typed if not c.isspace() and unicodedata.category(c) not in ("Cf", "Cc"))


def _told(digits: str) -> str:
    odd = next((c for c in digits if c not in "0123456789abcdef"), None)
    return f"this has {len(digits)}" if odd is None else f"{odd!r} is none"
