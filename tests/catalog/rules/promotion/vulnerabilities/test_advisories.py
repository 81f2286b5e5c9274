"""Which versions an advisory is about: as intervals say, in whatever order the events are written."""

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.records import Contents, Package
from catalog.rules.promotion.vulnerabilities.advisories import Advisory, Affected, hit
from catalog.rules.promotion.vulnerabilities.matching import ecosystems_of, found_by, installed
from catalog.rules.promotion.vulnerabilities.package_versions import compare
from catalog.rules.promotion.vulnerabilities.severities import severity_of
from tests.storage.boot.test_contents import NOW

V31 = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"
V4 = "CVSS:4.0/AV:N/AC:L/AT:N/PR:H/UI:N/VC:L/VI:L/VA:N/SC:N/SI:N/SA:N"


def order(a: str, b: str) -> int:
    return compare("deb", a, b)


def affected(*ranges: list[dict[str, str]], versions: tuple[str, ...] = (), kind: str = "ECOSYSTEM") -> Affected:
    lines = [{"type": kind, "events": events} for events in ranges]
    return Affected.model_validate({"ranges": lines, "versions": versions})


@given(
    st.lists(st.integers(1, 40), min_size=2, max_size=8, unique=True), st.booleans(), st.booleans(), st.booleans(), st.randoms(),
    st.integers(0, 42), st.integers(0, 3),
)  # fmt: skip
def test_a_version_is_affected_where_an_interval_has_it(
    points: list[int], begins: bool, open_ended: bool, last: bool, rng: random.Random, version: int, split: int
) -> None:
    edges = sorted(points)[: len(points) // 2 * 2]
    intervals = [(start, end) for start, end in pairwise(edges)][::2]
    name = "last_affected" if last else "fixed"
    lines = [[{"introduced": f"1.{start}"}, {name: f"1.{end}"}] for start, end in intervals]
    if begins:
        lines[0][0], intervals[0] = {"introduced": "0"}, (-1, intervals[0][1])
    if open_ended:
        del lines[-1][1]
        intervals[-1] = (intervals[-1][0], 1000)
    inside = [(a, b) for a, b in intervals if a <= version and (version <= b if last else version < b)]
    events = [event for line in lines for event in line]
    rng.shuffle(events)
    for made in (affected(events), affected(*lines), affected(*(line for line in lines[split:] + lines[:split]))):
        found = hit(made, f"1.{version}", order)
        assert (found is not None) == bool(inside)
        if found is not None:
            ends = sorted(b for _, b in intervals if b > version and b < 1000)
            own = inside[0][1] if inside[0][1] < 1000 else None
            known = made.ranges is not None and len(made.ranges) > 1
            fixed = None if last else own if known else (ends[0] if ends else None)
            assert found.fixed == (None if fixed is None else f"1.{fixed}")


def test_versions_that_are_listed_limits_and_other_types() -> None:
    assert hit(affected(versions=("1.0-1", "1.0-2")), "1.0-2", order) is not None
    assert hit(affected(versions=("1.0-1", "1.0-2")), "1.0-3", order) is None
    assert hit(affected([{"introduced": "0"}, {"limit": "2"}]), "2", order) is None
    assert hit(affected([{"introduced": "0"}, {"limit": "2"}]), "1.9", order) is not None
    assert hit(affected([{"introduced": "0"}, {"limit": "*"}]), "99", order) is not None
    assert hit(affected([{"introduced": "0"}], kind="GIT"), "1", order) is None
    assert hit(affected([{"introduced": "0"}, {"fixed": "0"}]), "1", order) is None  # how "not affected" is published
    assert hit(affected([]), "1", order) is None
    with pytest.raises(ValueError, match="no space"):
        hit(affected([{"introduced": "0"}, {"fixed": "no space"}]), "1", order)


@pytest.mark.parametrize(
    ("release", "names"),
    [
        ({"ID": "debian", "VERSION_ID": "12"}, ("Debian:12", "Debian")),
        ({"ID": "debian", "VERSION_CODENAME": "forky"}, ("Debian:forky", "Debian")),
        ({"ID": "ubuntu", "VERSION_ID": "22.04"}, ("Ubuntu:22.04:LTS", "Ubuntu:22.04")),
        ({"ID": "alpine", "VERSION_ID": "3.20.3"}, ("Alpine:v3.20",)),
        ({"ID": "alpine", "VERSION_ID": "3.23.0_alpha20251016"}, ("Alpine:edge",)),
        ({"ID": "almalinux", "VERSION_ID": "9.4"}, ("AlmaLinux:9", "AlmaLinux")),
        ({"ID": "rocky", "VERSION_ID": "8.10"}, ("Rocky Linux:8", "Rocky Linux")),
        ({"ID": "opensuse-leap", "VERSION_ID": "15.6"}, ("openSUSE:Leap 15.6",)),
        ({"ID": "photon", "VERSION_ID": "5.0"}, ("Photon OS:5.0",)),
        ({"ID": "wolfi"}, ("Wolfi",)), ({"ID": "rocky"}, ()), ({"ID": "linuxmint", "VERSION_ID": "21"}, ()), ({}, ()),
    ],
)  # fmt: skip
def test_what_exports_call_a_distribution(release: dict[str, str], names: tuple[str, ...]) -> None:
    assert ecosystems_of(release) == names


def contents(identity: str, *packages: Package) -> Contents:
    return Contents(image_id="x", inspected_at=NOW, os_release={"ID": identity}, packages=packages)


def advisory(ecosystem: str, name: str, fixed: str, **fields: object) -> Advisory:
    entry = {
        "package": {"ecosystem": ecosystem, "name": name},
        "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": fixed}]}],
    }
    return Advisory.model_validate({"id": "X-1", "affected": [entry], **fields})


def test_a_debian_name_is_a_source_and_its_version_the_sources() -> None:
    packages = installed(
        contents(
            "debian",
            Package(kind="deb", name="libc6", version="2.36-9", source="glibc"),
            Package(kind="deb", name="libc-bin", version="2.36-9", source="glibc"),
            Package(
                kind="deb", name="linux-image-amd64", version="6.1.90-1+b1", source="linux", source_version="6.1.90-1"
            ),
            Package(kind="deb", name="glibc", version="1", source="other"),
        )
    )
    (one,) = found_by(advisory("Debian:12", "glibc", "2.36-9+deb12u1"), ("Debian:12",), packages)
    assert (one.packages, one.installed, one.fixed) == (("libc-bin", "libc6"), "2.36-9", "2.36-9+deb12u1")
    assert found_by(advisory("Debian:12", "libc6", "9"), ("Debian:12",), packages) == ()
    assert found_by(advisory("Debian:11", "glibc", "9"), ("Debian:12",), packages) == ()
    (kernel,) = found_by(advisory("Debian:12", "linux", "6.1.90-1.1"), ("Debian:12",), packages)
    assert kernel.installed == "6.1.90-1"


def test_an_rpm_is_known_by_its_own_name_and_by_its_source() -> None:
    packages = installed(
        contents(
            "almalinux",
            Package(kind="rpm", name="bpftool", version="7.0-1.el9", source="kernel", source_version="5.14-1.el9"),
        )
    )
    of = ("AlmaLinux:9",)
    (one,) = found_by(advisory("AlmaLinux:9", "bpftool", "0:7.0-2.el9"), of, packages)
    (other,) = found_by(advisory("AlmaLinux:9", "kernel", "0:5.14-2.el9"), of, packages)
    assert (one.installed, other.installed) == ("7.0-1.el9", "5.14-1.el9")


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([("CVSS_V3", V31)], ("critical", 9.8)), ([("CVSS_V3", V31), ("CVSS_V4", V4)], ("medium", 5.1)),
        ([("CVSS_V2", "AV:L/AC:M/Au:N/C:N/I:P/A:C")], ("medium", 5.4)), ([("Ubuntu", "negligible")], ("low", None)),
        ([("Ubuntu", "high"), ("CVSS_V3", V31)], ("critical", 9.8)), ([("CVSS_V3", "x" * 5000)], ("unknown", None)),
        ([("CVSS_V3", "CVSS:3.1/AV:Q"), ("Ubuntu", "medium")], ("medium", None)), ([("CVSS_V4", V31)], ("unknown", None)), ([], ("unknown", None)),
        ([("Ubuntu", "odd")], ("unknown", None)),
    ],
)  # fmt: skip
def test_how_severe_it_is(scores: list[tuple[str, str]], expected: tuple[str, float | None]) -> None:
    made = Advisory.model_validate({"id": "x", "severity": [{"type": kind, "score": text} for kind, text in scores]})
    assert severity_of(made.severity or ()) == expected
