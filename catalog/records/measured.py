"""Records of an image's measurements: verdict, boot facts, quality, origin. Import them from `catalog.records`."""

from datetime import datetime
from typing import Literal

from catalog.records.record import ImageFormat, Record


class Finding(Record):
    """One thing that a rule found in the bytes of an image."""

    rule: str  # stable id, e.g. "qcow2.backing-file"
    rule_version: int
    severity: Literal["error", "warning", "info"]
    offset: int | None = None  # bytes from the start of the file; None: no single place
    sentence: str

    @property
    def described(self) -> str:
        """The finding on one line: sentence, rule, version, offset."""
        place = "" if self.offset is None else f", byte {self.offset}"
        return f"{self.sentence} [{self.rule} v{self.rule_version}{place}]"


class Verdict(Record):
    """The detected format of a file and the findings of the safety rules."""

    format: str  # detected; one of ImageFormat, or vhd, vhdx, vdi, … when refused
    virtual_size_bytes: int
    rule_set: str  # version of the whole set, e.g. "2026.11"
    findings: tuple[Finding, ...] = ()

    @property
    def safe(self) -> bool:
        """Tell whether no rule refused the bytes."""
        return not any(f.severity == "error" for f in self.findings)


class Loader(Record):
    """A UEFI program that the firmware, or a boot entry in its NVRAM, would start."""

    machine: str  # e.g. "x86_64"
    path: str  # on its file system, e.g. "EFI/BOOT/BOOTX64.EFI"
    offset: int  # of its file system on the disk, bytes

    @property
    def fallback(self) -> bool:
        """Tell whether the firmware starts it without a boot entry."""
        return self.path.upper().startswith("EFI/BOOT/BOOT")


class BootFacts(Record):
    """What would boot, as read from the bytes."""

    partition_table: Literal["gpt", "mbr", "none", "iso", "unknown"] = "unknown"
    bios_boot: bool = False  # MBR boot code, or an El Torito BIOS entry
    bios_code: bool = False  # code that a BIOS would run and that is not recognized
    uefi_boot: tuple[str, ...] = ()  # machine types of EFI/BOOT/BOOT*.EFI, e.g. ("x86_64",)
    loaders: tuple[Loader, ...] = ()  # the above, and loaders that vendors install beside them
    guest_os: str | None = None  # e.g. "Debian GNU/Linux 12 (bookworm)"
    guest_at: int | None = None  # offset of its file system on the disk, bytes
    virtio: bool | None = None  # both drivers below; None: unknown
    virtio_disk: bool | None = None
    virtio_network: bool | None = None
    cloud_init: bool | None = None
    guest_agent: bool | None = None
    filesystems: tuple[str, ...] = ()


class QualityCheck(Record):
    """The result of one expectation."""

    name: str
    success: bool
    sentence: str


class QualityReport(Record):
    """The result of one data-quality suite."""

    suite: str
    success: bool
    checks: tuple[QualityCheck, ...] = ()
    checked_at: datetime
    docs_url: str | None = None

    @property
    def failed(self) -> tuple[str, ...]:
        """Sentences of the checks that failed."""
        return tuple(c.sentence for c in self.checks if not c.success)


class Conversion(Record):
    """How a stored file was converted from the added file. `arguments`: exact except for the scratch paths."""

    image_storage: str
    from_format: ImageFormat
    to_format: ImageFormat
    program: str  # name and version as the program prints them
    arguments: tuple[str, ...] = ()
    sha256: str | None = None  # of the converted file
    md5: str | None = None


class Origin(Record):
    """The origin of an image's bytes, as measured during the transfer. `url` is masked."""

    url: str
    address: str | None = None  # the address actually connected to
    size_bytes: int
    etag: str | None = None
    last_modified: str | None = None
    md5: str
    sha256: str
    checksum: str = ""  # by the algorithm of the expected checksum
    expected_checksum: str | None = None
    rule_set: str = ""  # version of the safety rules that it passed
    conversions: tuple[Conversion, ...] = ()


class Provenance(Record):
    """The origin of an image in a log entry: a single field, so that it never looks like a change of the image."""

    provenance: Origin
