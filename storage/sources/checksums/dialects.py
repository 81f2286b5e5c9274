"""Lists of checksums in the dialects of programs and people: each value's file and algorithm.

Read: GNU (`HEX  name`, `HEX *name`), BSD and OpenSSL (`SHA256 (name) = HEX`), `sha256:HEX name`, `name: HEX`, PowerShell's
Get-FileHash as table, as list and as CSV, certutil, headings (`# SHA512 HASH`) over such lines, clear-signed, in UTF-8
or UTF-16.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from string import hexdigits

from catalog.rules.images.checksums import DIGITS, algorithm_of

_BY_DIGITS = {32: "md5", 40: "sha1", 56: "sha224", 64: "sha256", 96: "sha384", 128: "sha512"}
"""The algorithm of a value without a label, by number of digits: a convention of decades."""
_HEX = r"(?P<hex>[0-9A-Fa-f]{32,256})"
_LABEL = (
    r"(?P<label>(?:sha|md|blake|ripemd|rmd|whirlpool|tiger|gost|streebog|stribog|sm3|skein|shake|xxh|crc|haval|has160"
    r"|mactripledes|k12|b2\b|b2sum|b3\b|b3sum)[\w/.-]{0,30})"
)
_DIALECTS = tuple(
    re.compile(rf"{pattern}\Z", re.IGNORECASE)
    for pattern in (
        rf"(?P<label>[\w/.-]{{1,40}})\s?\((?P<name>.+)\)\s?=\s*{_HEX}",  # BSD
        rf"{_LABEL}\s*[:=]\s*{_HEX}(?:\s+\*?(?P<name>\S.*))?",  # sha256:HEX name; SHA256: HEX
        rf"{_LABEL}\s+{_HEX}(?:\s+(?P<name>\S.*))?",  # a row of PowerShell's table
        rf"\\?{_HEX}\s+\*?(?P<name>\S.*)",  # GNU
        rf"{_HEX}",
    )
)
_LABEL_LAST = re.compile(rf"{_LABEL}:\Z", re.IGNORECASE)
_MAX_LINE, _MAX_HEADING = 4096, 100  # longer lines are no entries; matching must stay fast
_HEADING = re.compile(
    rf"[#*=\s-]*{_LABEL}(?:[\s-]+(?:hash(?:es)?|sums?|checksums?|digests?))?[\s:=*#-]*\Z", re.IGNORECASE
)
_ANY_HEADING = re.compile(r"#+\s*(?P<label>[\w/.-]{1,30})\s+HASH\s*\Z")  # Gentoo's, for any algorithm
_CERTUTIL = re.compile(
    rf"{_LABEL}[ -]hash\b(?:.*?\b(?:of|von|de|di|van|av)\b(?:\s+(?:file|datei))?)?\s*(?P<name>.*?):\Z", re.IGNORECASE
)
_FIELD = re.compile(r"(algorithm|hash|path)\s*:\s*(.*)\Z", re.IGNORECASE)
_SPACED = re.compile(r"(?:[0-9a-fA-F]{2} ){15,}[0-9a-fA-F]{2}\Z")
_IN_NAME = re.compile(
    r"(?<![a-z0-9])(sha3[-_]?(?:224|256|384|512)|sha(?:2[-_])?-?(?:512[-_/](?:224|256)|1|224|256|384|512)|md5|blake2[bs]|blake3|b2|b3)"
    r"(?:sums?|hash)?(?![a-z0-9])"
)
_SHORT = {"b2": "blake2b", "b2sum": "blake2b", "b3": "blake3", "b3sum": "blake3"}


@dataclass(frozen=True, slots=True)
class Listed:
    """One line of a list. algorithm: None if unknown here, then called `label`; name: empty if not given."""

    algorithm: str | None
    label: str
    hex: str
    name: str


def read_list(data: bytes, list_name: str = "") -> list[Listed]:
    """Return the entries of a list, in order; lines in no known dialect are skipped.

    list_name: the list's published name, without the name of the image: it may name the algorithm.
    """
    hints = _IN_NAME.findall(list_name.lower())
    return [one for line in _lines(_decoded(data), hints[-1] if hints else "") if (one := _judged(*line)) is not None]


def _decoded(data: bytes) -> str:
    """Decode UTF-8, or UTF-16 as Windows writes it, with or without a byte order mark."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", "replace").lstrip("\ufeff")
    if data and data[1::2].count(0) > len(data) // 4:
        return data.decode("utf-16-le", "replace").lstrip("\ufeff")
    return data.decode("utf-8", "replace").lstrip("\ufeff")


def _judged(label: str, text: str, name: str) -> Listed | None:
    """Return a line with its algorithm; None if label and number of digits contradict each other."""
    value = text.replace(" ", "").lower()
    label = _SHORT.get(label.lower(), label)
    algorithm = algorithm_of(label) if label else _BY_DIGITS.get(len(value))
    if algorithm is not None and DIGITS[algorithm] != len(value):
        if not algorithm.startswith("blake"):
            return None
        algorithm, label = None, f"{label} of {4 * len(value)} bits"
    if algorithm is None and not label:
        if len(value) % 8:
            return None
        label = f"one of {4 * len(value)} bits"
    return Listed(algorithm, label, value, _unquoted(name.strip()))


def _unquoted(name: str) -> str:
    return name[1:-1] if len(name) > 2 and name[0] == name[-1] and name[0] in "\"'`" else name


def _lines(text: str, hint: str) -> Iterator[tuple[str, str, str]]:
    """Yield (label, value, name) of each line that has a value. hint: label from the list's own name."""
    heading, asked = "", ("", "")  # asked: the label and name that certutil announces for the next line
    for line in _joined(_unsigned(text.splitlines())):
        if len(line) > _MAX_LINE:
            continue
        if (found := _heading(line)) is not None:
            heading = found
        elif len(line) <= _MAX_HEADING and (above := _CERTUTIL.match(line)) is not None:
            asked = above["label"], above["name"]
        elif (parts := _parts(line)) is not None:
            label, value, name = parts
            yield label or asked[0] or heading or _fitting(hint, value), value, name or asked[1]
            asked = ("", "")


def _heading(line: str) -> str | None:
    """Return the algorithm that a heading announces for the lines below it."""
    if len(line) > _MAX_HEADING:
        return None
    found = _HEADING.match(line) or _ANY_HEADING.match(line)
    if found:
        return found["label"]
    titles = [one for one in _columns(line) if re.fullmatch(_LABEL, one, re.IGNORECASE)]
    return titles[0] if len(titles) == 1 and len(_columns(line)) > 1 and _of_columns(line) is None else None


def _columns(line: str) -> list[str]:
    """Return the columns of a row of CSV, or of a table in Markdown."""
    return [one for column in re.split("[,;|]", line) if (one := column.strip(" \t\"'`"))]


def _fitting(hint: str, value: str) -> str:
    """Return the list's own label, unless the line's number of digits contradicts it."""
    known = algorithm_of(hint)
    return "" if known in _BY_DIGITS.values() and DIGITS[known or ""] != len(value) else hint


def _parts(line: str) -> tuple[str, str, str] | None:
    """Parse a line: (label, value, name), each empty if absent."""
    if _SPACED.match(line):
        return "", line, ""
    for found in filter(None, (dialect.match(line) for dialect in _DIALECTS)):
        parts = found.groupdict(default="")
        return parts.get("label", ""), parts["hex"], parts.get("name", "")
    return _of_columns(line) or _name_first(line)


def _of_columns(line: str) -> tuple[str, str, str] | None:
    """Parse a row of CSV or of a table in Markdown: one value, perhaps its algorithm, and one other column."""
    columns = _columns(line)
    values = [one for one in columns if 32 <= len(one) <= 256 and not one.strip(hexdigits)]
    labels = [one for one in columns if algorithm_of(one) is not None]
    names = [one for one in columns if one not in values and one not in labels]
    if len(values) != 1 or len(labels) > 1 or len(names) != 1:
        return None
    return "".join(labels), values[0], names[0]


def _name_first(line: str) -> tuple[str, str, str] | None:
    """Parse `name: HEX`, `name HEX`, `name: sha256:HEX`. By hand: a pattern would try every place of a long line."""
    name = line.rstrip(hexdigits)
    value, label = line[len(name) :], ""
    if not 32 <= len(value) <= 256:
        return None
    if (found := _LABEL_LAST.search(name, max(0, len(name) - 50))) is not None:
        name, label = name[: found.start()], found["label"]
    return (label, value, name.rstrip(" \t:=")) if name[-1:] in " \t:=" else None


def _unsigned(lines: list[str]) -> Iterator[str]:
    """Drop the lines that a signature adds around a text: its Hash field is the signature's."""
    until = ""
    for line in lines:
        if line.startswith("-----BEGIN PGP"):
            until = "blank" if "SIGNED MESSAGE" in line else "end"
        elif line.startswith("-----END PGP") or (until == "blank" and not line.strip()):
            until = ""
        elif not until:
            yield line


def _joined(lines: Iterator[str]) -> Iterator[str]:
    """Join PowerShell's list of fields into one line each; a wrapped line belongs to the field above."""
    fields: dict[str, str] = {}
    last = ""
    for line in lines:
        found = _FIELD.match(line.strip())
        if found is not None:
            last = found[1].lower()
            if last in fields or (last == "algorithm" and fields):
                yield from _row(fields)
            fields[last] = found[2]
        elif fields and line[:1].isspace() and line.strip():
            fields[last] += line.strip()
        else:
            yield from _row(fields)
            if line.strip():
                yield line.strip()
    yield from _row(fields)


def _row(fields: dict[str, str]) -> Iterator[str]:
    if fields.get("hash"):
        yield " ".join(filter(None, (fields.get("algorithm"), fields["hash"], fields.get("path"))))
    fields.clear()
