"""The order of versions: as publishers mean it."""

import itertools
import random

import pytest

from catalog.errors import InvalidRequest
from catalog.rules.images.builds import check_version
from catalog.rules.promotion.versions import is_newer, order

RISING = (
    ("1.9", "1.10", "1.10.1", "2"),
    ("20240507-1740", "20240507-1741", "20240612-900"),  # Debian
    ("20240507", "20240507.1", "20240507.10", "20240508"),  # Ubuntu
    ("39-1.5", "40-1.14", "41-1.4"),  # Fedora
    ("9.3-20231113", "9.4-20240507", "9.10-20251001"),  # AlmaLinux
    ("15.5-Build5.9", "15.6-Build3.9", "15.6-Build3.10"),  # openSUSE
    ("3.20.0_alpha1", "3.20.0_rc1", "3.20.0_rc2", "3.20.0_rc10", "3.20.0", "3.20.1"),  # Alpine
    ("12~beta1", "12", "12.1"),
    ("v1.9", "V1.10"),
    ("1.2-dev", "1.2-alpha", "1.2-beta", "1.2-rc1", "1.2", "1.2-1"),
    ("9" * 63, "1" + "0" * 63),
)


@pytest.mark.parametrize("rising", RISING, ids=[row[0] for row in RISING])
def test_versions_are_in_their_publishers_order(rising: tuple[str, ...]) -> None:
    shuffled = list(rising)
    random.Random(7).shuffle(shuffled)
    assert sorted(shuffled, key=order) == list(rising)
    assert all(is_newer(b, a) and not is_newer(a, b) for a, b in itertools.pairwise(rising))


def test_no_two_versions_are_in_the_same_place() -> None:
    texts = ["1.0", "1-0", "1.00", "1_0", "01.0", "1.0+b", "1.0~b", "1.0b"]
    assert len({order(text) for text in texts}) == len(texts)
    assert not is_newer("1.0", "1.0")


@pytest.mark.parametrize("version", ["", ".1", "1/2", "1 2", "1\n", "x" * 65, "\u0661"])
def test_what_is_no_version_is_refused(version: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^version: "):
        check_version(version)
