"""The life cycle of an image: one table of the effect of each operation in each status.

In a status that it does not list, an operation raises IllegalTransition. GONE: the record is removed, the event log
stays.
"""

from collections.abc import Mapping
from typing import Final

from catalog.errors import IllegalTransition
from catalog.records import Image, ImageStatus

GONE: Final = None
After = ImageStatus | None

_C, _L, _R, _E, _D, _M = (
    ImageStatus.CREATING,
    ImageStatus.DOWNLOADING,
    ImageStatus.READY,
    ImageStatus.ERROR,
    ImageStatus.DELETED,
    ImageStatus.MIGRATING,
)
_ALIVE: Mapping[ImageStatus, After] = {s: s for s in (_C, _L, _R, _E, _M)}
_HELD: Mapping[ImageStatus, After] = {s: s for s in (_R, _M)}  # complete on a storage, also while it moves

TABLE: Mapping[str, Mapping[ImageStatus, After]] = {
    "download": {_C: _L, _L: _L, _E: _L},
    "publish": {_L: _R},
    "fail": {_C: _E, _L: _E, _E: _E},
    "quarantine": {_R: _E},
    "heal": {_E: _R, _R: _R},
    "edit": _ALIVE,
    "enable": _ALIVE,
    "disable": _ALIVE,
    "protect": _ALIVE,
    "set sharing mode": _ALIVE,
    "verify": {_R: _R, _M: _M, _D: _D},
    "export": _HELD,
    "delete exported image": {s: s for s in (_R, _E, _D, _M)},
    "sync": {_R: _R},
    "create volume": _HELD,
    "change image storage": {_R: _M, _M: _M},
    "finish change of image storage": {_M: _R, _R: _R},
    "give up change of image storage": {_M: _R, _R: _R},
    "cancel": {_C: GONE, _L: GONE},
    "delete": {_C: GONE, _L: GONE, _R: _D, _E: _D, _D: _D},  # repeated: done already
    "recover": {_D: _R},
    "expunge": {_D: GONE},
}
"""Operation → status → status afterwards."""

NEEDS_ENABLED = ("create volume",)
NEEDS_UNPROTECTED = ("delete",)


def status_after(image: Image, operation: str) -> After:
    """Return the status after an operation, GONE if the record is removed.

    Raises IllegalTransition if the image's status, disabled state or protection forbids the operation. An image that
    was in Error when it was deleted is in Error again after recovery.
    """
    row = TABLE[operation]
    thing = f"image {image.id}"
    if image.status not in row:
        raise IllegalTransition(thing, image.status, operation, [status.value for status in row])
    if operation in NEEDS_ENABLED and image.state == "Disabled":
        raise IllegalTransition(thing, "Disabled", operation, ["Enabled"])
    if operation in NEEDS_UNPROTECTED and image.protected:
        raise IllegalTransition(thing, "protected against deletion", operation, ["not protected"])
    return _E if operation == "recover" and image.error else row[image.status]


def mermaid() -> str:
    """Return the table as a Mermaid state diagram, for the README."""
    edges: dict[tuple[str, str], list[str]] = {}
    for operation, row in TABLE.items():
        for before, after in row.items():
            if after is not before:
                edges.setdefault((before.value, after.value if after else "[*]"), []).append(operation)
    lines = [f"    {before} --> {after}: {' / '.join(names)}" for (before, after), names in edges.items()]
    return "\n".join(["stateDiagram-v2", "    [*] --> Creating: add", *lines]) + "\n"


def refusals() -> str:
    """Return which operations each status allows, as a Markdown table, for the README."""
    head = [
        "| operation | " + " | ".join(s.value for s in ImageStatus) + " |",
        "|---" * (len(ImageStatus) + 1) + "|",
    ]
    return "\n".join([*head, *(_line(operation, row) for operation, row in TABLE.items())]) + "\n"


def _line(operation: str, row: Mapping[ImageStatus, After]) -> str:
    cells = [("gone" if row[s] is GONE else str(row[s])) if s in row else "refused" for s in ImageStatus]
    return f"| {operation} | " + " | ".join(cells) + " |"


if __name__ == "__main__":
    print(f"```mermaid\n{mermaid()}```\n\n{refusals()}", end="")
