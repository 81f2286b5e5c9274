"""Which operating systems boot in UEFI mode: the guide's table, and reading an OS from what people write.

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
from typing import Literal

UefiSupport = Literal["yes", "with CSM", "no"]
UEFI_LIST = (
    "Windows 8 or later, Windows Server 2012 or later, Windows 7 and Windows Server 2008 R2 with CSM, "
    "CentOS 7.2 or later"
)

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
    # "CentOS 7" may be any 7: only what is surely too old is refused
    return (major, int(minor)) < _FIRST_UEFI_CENTOS if minor else major < _FIRST_UEFI_CENTOS[0]


def os_family(os: str) -> str:
    """Return the first word of an OS, in lower case: `debian`, `windows`, `centos`; empty where it names none."""
    words = re.findall(r"[a-z]+", os.lower().replace("microsoft", "").replace("rhel", "red hat"))
    if words[:1] == ["win"] or words[:1] == ["winxp"]:
        return "windows"
    return words[0] if words and words[0] not in _NAMELESS else ""
