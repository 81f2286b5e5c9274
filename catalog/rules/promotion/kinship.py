"""Which image another one was made of, where nobody said so.

| asked | answer |
|---|---|
| who may descend from an image | what names no parent, came later, and is no build of the same family: builds of one family share much and are not made of each other |
| of which of the earlier ones | of the one whose chips make up most of it, and half of its bytes at least |
"""

from catalog.records import Image

LEAST = 0.5
"""Part of an image's bytes."""


def may_descend(child: Image, parent: Image) -> bool:
    """Tell whether an image may have been made of another one without saying so."""
    kin = child.family is not None and child.family == parent.family
    return child.parent is None and child.id != parent.id and child.created_at > parent.created_at and not kin


def said_of(parent: Image, share: float) -> str:
    """Say that a parent was found."""
    return f"found, not declared: {share:.0%} of it are chips of {parent.id}"
