"""Guess the parent of an image whose parent was not declared.

| question | answer |
|---|---|
| which images may descend from it | later ones without a declared parent, outside its family: builds of one family share much and are not made of each other |
| which earlier image is the parent | the one that shares most of its chips, and at least half of its bytes |
"""

from catalog.records import Image

LEAST = 0.5
"""The least part of an image's bytes that a parent shares."""


def may_descend(child: Image, parent: Image) -> bool:
    """Tell whether an image may have been made of another one without declaring it."""
    kin = child.family is not None and child.family == parent.family
    return child.parent is None and child.id != parent.id and child.created_at > parent.created_at and not kin


def said_of(parent: Image, share: float) -> str:
    """Return the sentence that a parent was found."""
    return f"found, not declared: {share:.0%} of it are chips of {parent.id}"
