"""Versions of packages are in the order of their own programs: dpkg and rpm are asked; of apk, what its documents say."""

import subprocess
from collections.abc import Sequence
from contextlib import suppress
from functools import cmp_to_key, partial
from itertools import combinations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from catalog.records import PackageKind
from catalog.rules.promotion.vulnerabilities.package_versions import LONGEST, ORDERS, compare
from tests.services.images import need

DEB = st.from_regex(r"\A(?:[0-9]{1,2}:)?[0-9][0-9a.+~A]{0,6}(?:-[0-9a.+~]{1,4})?\Z")
RPM = st.text("001a.bZ~^_+", min_size=1, max_size=6)
APK = st.from_regex(r"\A[0-9]{1,3}(?:\.[0-9]{1,3}){0,3}[a-c]?(?:_(?:alpha|rc|git|p)[0-9]{0,2}){0,2}(?:-r[0-9]{1,2})?\Z")
PAIRS = 150
IN_ORDER: Sequence[str] = (
    "0.9", "1.0_alpha", "1.0_alpha1", "1.0_beta", "1.0_pre", "1.0_rc1", "1.0_rc2", "1.0_rc2-r1", "1.0", "1.0-r0", "1.0-r1", "1.0-r10",
    "1.0_cvs", "1.0_svn2", "1.0_git20240101", "1.0_git20240102-r3", "1.0_hg", "1.0_p1", "1.0_p2", "1.0a", "1.0b-r1", "1.0.0", "1.01", "1.02", "1.1", "1.9",
    "1.10", "2.0~1a2b", "2.0~1a2c-r1", "10",
)  # fmt: skip


@settings(max_examples=PAIRS)
@given(DEB, DEB)
def test_the_order_of_debs_is_that_of_dpkg(a: str, b: str) -> None:
    need("dpkg")
    assert _dpkg_says(a, {-1: "lt", 0: "eq", 1: "gt"}[compare("deb", a, b)], b)


def _dpkg_says(a: str, word: str, b: str) -> bool:
    return subprocess.run(["dpkg", "--compare-versions", a, word, b], check=False, stderr=-3).returncode == 0


@settings(max_examples=3)
@given(st.lists(st.tuples(RPM, RPM), min_size=PAIRS, max_size=PAIRS))
def test_the_order_of_rpms_is_that_of_rpm(pairs: list[tuple[str, str]]) -> None:
    need("rpm")
    asked = "".join(f'print(rpm.vercmp("{a}","{b}").." ");' for a, b in pairs)
    said = subprocess.run(["rpm", "--eval", f"%{{lua:{asked}}}"], capture_output=True, text=True, check=True)
    assert [compare("rpm", a, b) for a, b in pairs] == list(map(int, said.stdout.split()))


def test_the_epoch_of_an_rpm_is_before_all_else_and_its_release_behind() -> None:
    for before, after in (("9-1", "1:1-1"), ("1:1-1", "1:1-2"), ("0:1-1", "1-2"), ("1-2.el9", "1-10.el9")):
        assert (compare("rpm", before, after), compare("rpm", after, before)) == (-1, 1)
    assert compare("rpm", "0:1.2-3", "1.2-3") == 0


def test_the_order_of_apks() -> None:
    assert [
        (a, b) for a, b in combinations(IN_ORDER, 2) if (compare("apk", a, b), compare("apk", b, a)) != (-1, 1)
    ] == []
    assert [one for one in IN_ORDER if compare("apk", one, one) != 0] == []


@given(APK, APK)
def test_two_apks_have_one_order(a: str, b: str) -> None:
    assert compare("apk", a, b) == -compare("apk", b, a)
    assert compare("apk", a, a) == 0


@pytest.mark.parametrize(
    ("kind", "bad"),
    [
        ("apk", "1.0_unknown"), ("apk", "v1"), ("apk", "1.0-r"), ("apk", "1..2"), ("apk", "1.0-r1\n"), ("deb", "1:2:3"), ("deb", "x y"),
        ("rpm", "x:1-1"), ("deb", ""), ("rpm", ""), ("apk", ""), ("deb", "1" * (LONGEST + 1)), ("apk", "1" * (LONGEST + 1)),
    ],
)  # fmt: skip
def test_what_is_no_version_is_named(kind: PackageKind, bad: str) -> None:
    for pair in ((bad, "1.0"), ("1.0", bad)):
        with pytest.raises(ValueError, match=r"\S"):
            compare(kind, *pair)


@given(st.sampled_from(sorted(ORDERS)), st.lists(st.text(max_size=12), max_size=6))
@example("rpm", ["0", "0\n0"])
def test_odd_text_is_compared_or_refused(kind: PackageKind, texts: list[str]) -> None:
    with suppress(ValueError):
        sorted(texts, key=cmp_to_key(partial(compare, kind)))
