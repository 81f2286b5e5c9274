"""Patterns: what publishers call their files, and what is not taken for a build."""

import time

import pytest

from catalog.errors import InvalidRequest
from catalog.records import Architecture
from catalog.rules.promotion.patterns import check_pattern, filled, goes_on, matched


@pytest.mark.parametrize(
    ("part", "name", "version"),
    [
        ("debian-12-generic-amd64-{version}.qcow2", "debian-12-generic-amd64-20240507-1740.qcow2", "20240507-1740"),
        (
            "Fedora-Cloud-Base-Generic.{arch}-{version}.qcow2",
            "Fedora-Cloud-Base-Generic.x86_64-40-1.14.qcow2",
            "40-1.14",
        ),
        (
            "AlmaLinux-9-GenericCloud-{version}.{arch}.qcow2",
            "AlmaLinux-9-GenericCloud-9.4-20240507.x86_64.qcow2",
            "9.4-20240507",
        ),
        ("AlmaLinux-9-GenericCloud-{version}.{arch}.qcow2", "AlmaLinux-9-GenericCloud-latest.x86_64.qcow2", None),
        (
            "nocloud_alpine-{version}-{arch}-bios-tiny-r0.qcow2",
            "nocloud_alpine-3.20.0-x86_64-bios-tiny-r0.qcow2",
            "3.20.0",
        ),
        ("os-{version}-{arch}.img", "os-1.0-amd64.img", "1.0"),
        ("os-{version}-{arch}.img", "os-1.0-arm64.img", None),
        ("os-{version}.img", "os-1.0-arm64.img", None),  # of another architecture, not a version of that name
        ("os-{version}.img", "os-1.0.img.sha256", None),
        ("os-{version}-{version}.img", "os-1-1.img", "1"),
        ("os-{version}-{version}.img", "os-1-2.img", None),
        ("os-{version}-*.img", "os-1.2-abc.img", "1.2"),
        ("{version}", "v20240501.232340", "v20240501.232340"),
        ("o.{version}", "oX1", None),
    ],
)
def test_a_name_fits_or_not(part: str, name: str, version: str | None) -> None:
    found = matched(part, name, "x86_64")
    assert (found.version if found else None) == version


@pytest.mark.parametrize(
    ("architecture", "name"),
    [("aarch64", "os-arm64.img"), ("aarch64", "os-aarch64.img"), ("loongarch64", "os-loong64.img")],
)
def test_architectures_have_their_publishers_names(architecture: Architecture, name: str) -> None:
    found = matched("os-{arch}.img", name, architecture)
    assert found is not None
    assert name == f"os-{found.arch}.img"


def test_a_file_is_of_the_version_of_its_folder() -> None:
    assert goes_on("40-1.14", "40")
    assert goes_on("20240501.232340", "v20240501.232340")
    assert not goes_on("401", "40")
    assert not goes_on("41", "40")
    assert matched("os-{version}.img", "os-13.img", "x86_64", within="12") is None


@pytest.mark.parametrize(
    "pattern", ["", "/x-{version}", "../{version}", "{version}/x", "a{b}-{version}", "{version}{version}{version}", "a**{version}",
                "x" * 257, "a/b/c/d/{version}", "a?{version}", "{version}\n"],
)  # fmt: skip
def test_what_is_no_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^pattern: "):
        check_pattern(pattern, versioned=True)


def test_no_name_takes_long() -> None:
    began = time.process_time()
    for name in ("os-" + "1" * 250, "os-" + "1-" * 120, "1" * 2000):
        matched("os-{version}-*-{version}.img", name, "x86_64")
    assert time.process_time() - began < 1


def test_an_address_is_filled_once() -> None:
    assert filled("{file}.sha256?v={version}", "1{arch}", "x86_64", "os.img") == "os.img.sha256?v=1{arch}"
