"""Operating systems that boot in UEFI mode, by the guide's table, and parsing of free-form OS names.

| OS | UEFI |
|---|---|
| Windows 8 or later, Windows Server 2012 or later | yes |
| Windows 7, Windows Server 2008 R2 | with CSM |
| older Windows | no |
| CentOS 7.2 or later | yes |
| older CentOS | no |
| any other | yes: nothing is known against it |
"""

import re
from collections.abc import Mapping
from typing import Literal

from catalog.records import Platform

UefiSupport = Literal["yes", "with CSM", "no"]
UEFI_LIST = (
    "Windows 8 or later, Windows Server 2012 or later, Windows 7 and Windows Server 2008 R2 with CSM, "
    "CentOS 7.2 or later"
)

UEFI_TABLE: tuple[tuple[str, str, str], ...] = (
    ("Windows", "UEFI", "Windows 8 or later, Windows Server 2012 or later"),
    ("Windows", "UEFI with CSM", "Windows 7, Windows Server 2008 R2"),
    ("Linux", "UEFI", "CentOS 7.2 or later"),
)
"""The guide's table: system, mode, versions that boot in it."""
UEFI_SHELL = ("fs0:", "dir", "cd EFI", "cd BOOT", "BOOTX64.EFI")
"""What to type if a Windows virtual machine stops in the UEFI shell; a key must then be pressed in time."""
_LINUX: Mapping[str, tuple[str, ...]] = {
    "AlmaLinux": ("8", "9", "10"),
    "CentOS": ("6.10", "7.2", "7.6", "7.9", "8", "Stream 9", "Stream 10"),
    "Debian": ("10", "11", "12", "13"),
    "Fedora": ("41", "42", "43"),
    "Kylin": ("V10",),
    "openEuler": ("20.03", "22.03", "24.03"),
    "openSUSE Leap": ("15.6",),
    "Oracle Linux": ("8", "9"),
    "Red Hat Enterprise Linux": ("5.8", "6.10", "7.9", "8", "9", "10"),
    "Rocky Linux": ("8", "9", "10"),
    "SUSE Linux Enterprise": ("12", "15"),
    "Ubuntu": ("18.04", "20.04", "22.04", "24.04"),
    "UnionTech UOS": ("20",),
}
_MICROSOFT: Mapping[str, tuple[str, ...]] = {
    "Windows": ("7", "8", "8.1", "10", "11"),
    "Windows Server": ("2003", "2008", "2008 R2", "2012", "2012 R2", "2016", "2019", "2022", "2025"),
}
_OTHER: Mapping[str, tuple[str, ...]] = {"FreeBSD": ("13", "14"), "OpenBSD": ("7",), "Solaris": ("11",), "Other": ()}
SYSTEMS: Mapping[Platform, Mapping[str, tuple[str, ...]]] = {
    "Linux": _LINUX,
    "Windows": _MICROSOFT,
    "Other": _OTHER,
}
"""Platform → operating systems with versions to choose from; any other name may be typed."""

_WINDOWS = r"\bwin(?:dows)?\s*(?:server\s*)?"  # people write Windows 7, Win7, win2k3, WinXP
_WITH_CSM = re.compile(_WINDOWS + r"(2008\s*r2|2k8\s*r2|7)\b")
_OLD_WINDOWS = re.compile(_WINDOWS + r"(2000|2003|2008|2k|2k3|2k8|nt|xp|vista|95|98|me|3\.\d+)(\s*r2)?\b")
_CENTOS = re.compile(r"centos\D*?(\d+)(?:\.(\d+))?")
_FIRST_UEFI_CENTOS = (7, 2)
_NAMELESS = ("linux", "gnu", "other", "unknown", "custom")


def uefi_support(os: str) -> UefiSupport:
    """Tell whether an operating system, named freely, boots in UEFI mode."""
    text = re.sub(r"[\s_\-]+", " ", os.strip().lower())
    if _WITH_CSM.search(text):
        return "with CSM"
    return "no" if _OLD_WINDOWS.search(text) or _old_centos(text) else "yes"


def _old_centos(text: str) -> bool:
    match = _CENTOS.search(text)
    if match is None:
        return False
    major, minor = int(match[1]), match[2]
    # "CentOS 7" may be any 7.x: only versions that are certainly too old are refused
    return (major, int(minor)) < _FIRST_UEFI_CENTOS if minor else major < _FIRST_UEFI_CENTOS[0]


def os_family(os: str) -> str:
    """Return the first word of an OS in lower case, such as `debian`, `windows`, `centos`; empty if it has none."""
    words = re.findall(r"[a-z]+", os.lower().replace("microsoft", "").replace("rhel", "red hat"))
    if words[:1] == ["win"] or words[:1] == ["winxp"]:
        return "windows"
    return words[0] if words and words[0] not in _NAMELESS else ""


def known_systems(platform: Platform) -> tuple[str, ...]:
    """Return the operating systems of a platform with each version, as the form writes them."""
    listed = SYSTEMS[platform].items()
    return tuple(f"{name} {version}".strip() for name, versions in listed for version in versions or ("",))
