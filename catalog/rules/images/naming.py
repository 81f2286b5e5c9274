"""Names and descriptions of images, and the names of their files."""

import re
import unicodedata

from catalog.errors import InvalidRequest
from catalog.records import ExportedImage, Image

MAX_NAME = 128
MAX_DESCRIPTION = 2048
# ideographic zero, extension A, unified and compatibility ideographs, the supplementary ideographic planes
_CHINESE = "\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003fffd"
MOST_BYTES, MOST_PLACE_BYTES = 160, 40
"""Most bytes of name and place in a file name; with version, format and temporary affixes it stays below 255."""
KEPT = " -_.()+"
_LETTER = rf"[{_CHINESE}A-Za-z0-9 \-_.():+]"
_ALLOWED = re.compile(_LETTER)
NAME_PATTERN = rf"^(?! ){_LETTER}{{1,{MAX_NAME}}}(?<! )\Z"
"""Names that `check_name` accepts, as a regular expression, for checking many names at once."""
_UUID = re.compile(r"\{?([0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})\}?")
NAME_RULE = f"1 to {MAX_NAME} Chinese characters, letters, digits, spaces and - _ . ( ) : + with no space at either end"


def check_name(name: str, parameter: str = "name") -> None:
    """Raise InvalidRequest for an invalid name, naming the first character that is not allowed."""
    if not 1 <= len(name) <= MAX_NAME:
        raise InvalidRequest(parameter, _short(name), f"give {NAME_RULE}; this has {len(name)} characters")
    for place, character in enumerate(name, start=1):
        if not _ALLOWED.match(character):
            raise InvalidRequest(parameter, name, f"give {NAME_RULE}; character {place} is {character!r}")
    if name != name.strip(" "):
        raise InvalidRequest(parameter, name, f"give {NAME_RULE}")


def canonical_id(given: str) -> str:
    """Return an id in the catalog's form: PowerShell and Windows write UUIDs in capitals and in braces."""
    match = _UUID.fullmatch(given.strip())
    return match[1].lower() if match else given.strip()


def check_description(description: str) -> None:
    """Raise InvalidRequest if a description is too long."""
    if len(description) > MAX_DESCRIPTION:
        raise InvalidRequest(
            "description",
            _short(description),
            f"give at most {MAX_DESCRIPTION:,} characters; this has {len(description):,}",
        )


def file_name(name: str, version: int, image_format: str, place: str = "") -> str:
    """Return the file name of an image, such as `debian-12-v3.qcow2`. place: added if two names would be equal.

    Whatever the image's name, the result is a plain, visible name that is valid in every file system and header.
    """
    stem = f"{_plain(name, MOST_BYTES)}-v{version}{f'-{_plain(place, MOST_PLACE_BYTES)}' if place else ''}"
    return f"{stem}.{image_format}"


def _plain(text: str, most: int) -> str:
    """Return a text without characters special to shells, file systems or headers; never hidden, never empty."""
    kept = "".join(c if c.isalnum() or c in KEPT else "_" for c in unicodedata.normalize("NFC", text))
    short = kept.encode(errors="replace")[:most].decode(errors="ignore")
    return short.strip(" .").lstrip(" .-") or "image"


def _short(text: str) -> str:
    return text if len(text) <= 40 else text[:40] + "…"


def download_name(image: Image, export: ExportedImage) -> str:
    """Return the name that an export is downloaded as: its file's name; older exports have only their storage's."""
    name = export.path.rpartition("/")[2]
    if name != f"{export.image_storage}.{export.format}":
        return name
    return file_name(image.name, image.version, export.format)
