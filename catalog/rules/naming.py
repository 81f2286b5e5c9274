"""Names and descriptions of images."""

import re

from catalog.errors import InvalidRequest

MAX_NAME = 128
MAX_DESCRIPTION = 2048
# ideographic zero, extension A, unified and compatibility ideographs, the supplementary ideographic planes
_CHINESE = "\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003fffd"
_ALLOWED = re.compile(rf"[{_CHINESE}A-Za-z0-9 \-_.():+]")
NAME_RULE = f"1 to {MAX_NAME} Chinese characters, letters, digits, spaces and - _ . ( ) : + with no space at either end"


def check_name(name: str) -> None:
    """Raise InvalidRequest, naming the first character that is not allowed, unless a name keeps the rule."""
    if not 1 <= len(name) <= MAX_NAME:
        raise InvalidRequest("name", _short(name), f"give {NAME_RULE}; this has {len(name)} characters")
    for place, character in enumerate(name, start=1):
        if not _ALLOWED.match(character):
            raise InvalidRequest("name", name, f"give {NAME_RULE}; character {place} is {character!r}")
    if name != name.strip(" "):
        raise InvalidRequest("name", name, f"give {NAME_RULE}")


def check_description(description: str) -> None:
    """Raise InvalidRequest if a description is too long."""
    if len(description) > MAX_DESCRIPTION:
        raise InvalidRequest(
            "description",
            _short(description),
            f"give at most {MAX_DESCRIPTION:,} characters; this has {len(description):,}",
        )


def _short(text: str) -> str:
    return text if len(text) <= 40 else text[:40] + "…"
