"""What is inside an image. Part of `catalog.records`, which everybody imports them from."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from catalog.records.measured import Finding
from catalog.records.record import Record

PackageKind = Literal["deb", "rpm", "apk"]


class Package(Record):
    """An installed package. source, source_version: what it was built from; empty where they are its own name and version."""

    kind: PackageKind
    name: str
    version: str
    arch: str = ""
    source: str = ""
    source_version: str = ""


class GuestUser(Record):
    """Somebody who may come in. password: whether there is one."""

    name: str
    uid: int
    password: Literal["set", "locked", "empty"]
    shell: str = ""
    authorized_keys: int = 0


class DirectorySize(Record):
    """What lies in a directory and below it. size_bytes: of the files' contents; one with several names counts once."""

    path: str
    files: int
    size_bytes: int


class Contents(Record):
    """What is inside an image, read from its bytes and never by running them. unread: a sentence for each thing that could not be read.

    cyclonedx: where the bill of materials lies (CycloneDX JSON), on the host that read it; None where nothing was found.
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
    """What a look inside an image came to, as the log keeps it."""

    guest_os: str | None = None
    packages: int = 0
    findings: tuple[Finding, ...] = ()
    unread: tuple[str, ...] = ()


class PackageChange(Record):
    """A package that differs between two images. before, after: versions; None: it is not there."""

    name: str
    before: str | None
    after: str | None


class FileChange(Record):
    """A file that differs between two images, in its size or in when it was changed. before, after: bytes; None: it is not there."""

    path: str
    before: int | None
    after: int | None


class DirectoryChange(Record):
    """A directory that takes more or less than before, with all below it. before, after: bytes."""

    path: str
    before: int
    after: int


class Comparison(Record):
    """How the contents of image b differ from those of image a.

    files: those of the largest changes, a thousand at most, of all that were added, removed or changed; directories: two levels deep.
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
"""From the worst on; unknown: an advisory does not say it in a way that is read here."""


class Vulnerability(Record):
    """A known vulnerability of what is installed. package: as the advisory names it, mostly the source; packages: what is installed of it.

    installed: the version that the advisory speaks of; fixed: the first one that is not affected, None where none is known; score: of CVSS, 0 to 10.
    fails: it is as severe as was asked for, and has a fix.
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
    """What an OSV export says of an image's packages, the worst first.

    source: address of the export, masked; ecosystems: what it calls the image's distribution; advisories: how many of it were read, of_image:
    how many are about that distribution, withdrawn: how many of these were taken back and left out. skipped: records that could not be read;
    unread: a sentence for each thing that could not be, of the image and, of the first twenty, of the export.
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
