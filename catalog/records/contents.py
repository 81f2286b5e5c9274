"""Records of an image's contents: packages, users, files, vulnerabilities. Import them from `catalog.records`."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from catalog.records.measured import Finding
from catalog.records.record import Record

PackageKind = Literal["deb", "rpm", "apk"]


class Package(Record):
    """An installed package. source, source_version: its source package; empty if equal to its own name and version."""

    kind: PackageKind
    name: str
    version: str
    arch: str = ""
    source: str = ""
    source_version: str = ""


class GuestUser(Record):
    """A user of the guest who can log in. password: whether one is set."""

    name: str
    uid: int
    password: Literal["set", "locked", "empty"]
    shell: str = ""
    authorized_keys: int = 0


class DirectorySize(Record):
    """The total of a directory and its subdirectories. size_bytes: of file contents; a hard-linked file counts once."""

    path: str
    files: int
    size_bytes: int


class Contents(Record):
    """The contents of an image, read from its bytes without running them.

    unread: a sentence for each part that could not be read. cyclonedx: path of the bill of materials (CycloneDX JSON)
    on the host that read the image; None if nothing was found.
    """

    image_id: str
    os_release: dict[str, str] = Field(default_factory=dict)
    guest_os: str | None = None
    kernels: tuple[str, ...] = ()
    packages: tuple[Package, ...] = ()
    users: tuple[GuestUser, ...] = ()
    cloud_init: bool | None = None
    guest_agent: bool | None = None
    findings: tuple[Finding, ...] = ()
    directories: tuple[DirectorySize, ...] = ()  # two levels deep
    unread: tuple[str, ...] = ()
    cyclonedx: str | None = None
    inspected_at: datetime


class ContentsSeen(Record):
    """The result of inspecting an image's contents, as the log keeps it."""

    guest_os: str | None = None
    packages: int = 0
    findings: tuple[Finding, ...] = ()
    unread: tuple[str, ...] = ()


class PackageChange(Record):
    """A package that differs between two images. before, after: versions; None: not installed."""

    name: str
    before: str | None
    after: str | None


class FileChange(Record):
    """A file whose size or modification time differs between two images. before, after: bytes; None: no such file."""

    path: str
    before: int | None
    after: int | None


class DirectoryChange(Record):
    """A directory whose total size differs between two images. before, after: bytes."""

    path: str
    before: int
    after: int


class Comparison(Record):
    """How the contents of image b differ from those of image a.

    files: the thousand largest changes at most, additions and removals included; directories: two levels deep.
    """

    a: str
    b: str
    guest_os: tuple[str | None, str | None] = (None, None)
    kernels_before: tuple[str, ...] = ()
    kernels_after: tuple[str, ...] = ()
    packages: tuple[PackageChange, ...] = ()
    findings_new: tuple[str, ...] = ()
    findings_gone: tuple[str, ...] = ()
    files_added: int = 0
    files_removed: int = 0
    files_changed: int = 0
    files: tuple[FileChange, ...] = ()
    directories: tuple[DirectoryChange, ...] = ()
    size_change_bytes: int | None = None
    virtual_size_change_bytes: int | None = None
    unread: tuple[str, ...] = ()


Severity = Literal["critical", "high", "medium", "low", "none", "unknown"]
"""The worst first; unknown: the advisory rates it in no way that is supported here."""


class Vulnerability(Record):
    """A known vulnerability of an installed package.

    package: the advisory's name, mostly of the source package; packages: the installed packages built from it.
    installed: the affected version; fixed: the first unaffected one, None if unknown; score: CVSS, 0 to 10. fails: it
    reaches the requested severity and has a fix.
    """

    id: str
    aliases: tuple[str, ...] = ()
    package: str
    packages: tuple[str, ...] = ()
    installed: str
    fixed: str | None = None
    severity: Severity = "unknown"
    score: float | None = None
    summary: str = ""
    fails: bool = False


class VulnerabilityReport(Record):
    """The vulnerabilities of an image's packages in an OSV export, the worst first.

    source: address of the export, masked; ecosystems: the export's names of the image's distribution; advisories:
    number read, of_image: number about that distribution, withdrawn: number of these that were withdrawn and left out.
    skipped: unreadable records; unread: a sentence for each unreadable part of the image and for the first twenty of
    the export.
    """

    image_id: str
    guest_os: str | None = None
    source: str
    ecosystems: tuple[str, ...] = ()
    advisories: int = 0
    of_image: int = 0
    withdrawn: int = 0
    skipped: int = 0
    vulnerabilities: tuple[Vulnerability, ...] = ()
    unread: tuple[str, ...] = ()
