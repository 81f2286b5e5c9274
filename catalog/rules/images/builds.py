"""Rules for versions and labels of builds."""

import re
from collections.abc import Sequence

from catalog.errors import InvalidRequest

MOST = 64
VERSION = re.compile(rf"[0-9A-Za-z][0-9A-Za-z.+~:_-]{{0,{MOST - 1}}}")
VERSION_RULE = f"1 to {MOST} letters, digits and . + ~ : _ -, the first a letter or digit"
MOST_LABELS = 64
LABEL = re.compile(r"(?P<key>[A-Za-z0-9](?:[A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?)=[^\x00-\x1f\x7f]{0,128}")
LABEL_RULE = "key=value: of a key 1 to 63 letters, digits and . _ / -, a letter or digit at both ends; of a value at most 128 characters"


def check_labels(labels: Sequence[str]) -> None:
    """Raise InvalidRequest for an invalid label, a duplicate key, and more than 64 labels."""
    keys = set[str]()
    for label in labels:
        found = LABEL.fullmatch(label)
        if found is None:
            raise InvalidRequest("labels", label, LABEL_RULE)
        if found["key"] in keys:
            raise InvalidRequest("labels", label, f"each key once; {found['key']} is given twice")
        keys.add(found["key"])
    if len(labels) > MOST_LABELS:
        raise InvalidRequest("labels", len(labels), f"at most {MOST_LABELS}")


def check_version(version: str) -> None:
    """Raise InvalidRequest for an invalid version."""
    if VERSION.fullmatch(version) is None:
        raise InvalidRequest("version", version, VERSION_RULE)
