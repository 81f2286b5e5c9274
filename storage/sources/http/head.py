"""The head of an HTTP answer (RFC 9112, sections 4 and 5): status line and header fields, with any bytes.

`email.parser` is unsuitable: it returns a field with bytes beyond ASCII as an object that is no text, and ends the head
at a line without a colon.
"""

import re
from collections.abc import Iterable

_STATUS = re.compile(rb"HTTP/1\.[0-9] +([0-9]{3})(?: .*)?\Z", re.DOTALL)
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class Headers:
    """Header fields by case-insensitive name; values are decoded as Latin-1, one character per byte."""

    def __init__(self, fields: Iterable[tuple[str, str]] = ()) -> None:
        self._fields: dict[str, list[str]] = {}
        for name, value in fields:
            self._fields.setdefault(name.lower(), []).append(value)

    def all(self, name: str) -> tuple[str, ...]:
        """Return every value of a field, in order."""
        return tuple(self._fields.get(name.lower(), ()))

    def first(self, name: str) -> str:
        """Return the first value of a field, empty if there is none."""
        return self._fields.get(name.lower(), [""])[0]


def status_of(line: bytes) -> int | None:
    """Return the status in a status line, None if it is not one of HTTP/1."""
    found = _STATUS.match(line.rstrip(b"\r\n"))
    return int(found[1]) if found else None


def parse_fields(data: bytes) -> Headers:
    """Parse the lines between status line and empty line; folded lines are joined, invalid fields dropped."""
    fields: list[tuple[str, str]] = []
    for line in data.decode("latin-1").split("\n"):
        text = line.rstrip("\r")
        if text[:1] in (" ", "\t") and fields:
            name, value = fields[-1]
            fields[-1] = name, f"{value} {text.strip()}".strip()
            continue
        name, colon, value = text.partition(":")
        if colon and _NAME.fullmatch(name.rstrip()):
            fields.append((name.rstrip(), value.strip(" \t\r")))
    return Headers(fields)
