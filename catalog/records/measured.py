"""What was measured of an image: verdict, boot facts, quality, origin. Part of `catalog.records`, which everybody imports them from."""

from datetime import datetime
from typing import Literal

from catalog.records.record import ImageFormat, Record


class Finding(Record):
    """One thing that a rule found in the bytes of an image."""

    rule: str  # stable id, e.g. "qcow2.backing-file"
    rule_version: int
    severity: Literal["error", "warning", "info"]
    offset: int | None = None  # bytes from the start of the file, where one place can be named
    sentence: str

    @property
    def described(self) -> str:
        """The finding as one line for people: sentence, rule, version, offset."""
        place = "" if self.offset is None else f", byte {self.offset}"
        return f"{self.sentence} [{self.rule} v{self.rule_version}{place}]"


class Verdict(Record):
    """What the bytes of a file are, and which rules said so."""

    format: str  # detected; one of ImageFormat, or vhd, vhdx, vdi, … when refused
    virtual_size_bytes: int
    rule_set: str  # version of the whole set, e.g. "2026.11"
    findings: tuple[Finding, ...] = ()

    @property
    def safe(self) -> bool:
        """Tell whether no rule refused the bytes."""
        return not any(f.severity == "error" for f in self.findings)


class Loader(Record):
    """A UEFI program that firmware, or a boot entry in its memory, would start."""

    machine: str  # e.g. "x86_64"
    path: str  # on its file system, e.g. "EFI/BOOT/BOOTX64.EFI"
    offset: int  # of its file system on the disk, bytes

    @property
    def fallback(self) -> bool:
        """Tell whether firmware starts it without a boot entry."""
        return self.path.upper().startswith("EFI/BOOT/BOOT")


class BootFacts(Record):
    """What would boot, read from the bytes."""

    partition_table: Literal["gpt", "mbr", "none", "iso", "unknown"] = "unknown"
    bios_boot: bool = False  # MBR boot code, or an El Torito BIOS entry
    bios_code: bool = False  # code that a BIOS would run, of which can't be told where it leads
    uefi_boot: tuple[str, ...] = ()  # machine types of EFI/BOOT/BOOT*.EFI, e.g. ("x86_64",)
    loaders: tuple[Loader, ...] = ()  # those, and the ones that vendors install beside them
    guest_os: str | None = None  # e.g. "Debian GNU/Linux 12 (bookworm)"
    guest_at: int | None = None  # where its file system lies on the disk, bytes
    virtio: bool | None = None  # both drivers below; None: could not be told
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
    """How the file that one storage keeps was made from the file added. `arguments`: exact, but for the scratch paths."""

    image_storage: str
    from_format: ImageFormat
    to_format: ImageFormat
    program: str  # with its version, as it names itself
    arguments: tuple[str, ...] = ()
    sha256: str | None = None  # of the file that came out
    md5: str | None = None


class Origin(Record):
    """Where the bytes of an image came from, as measured while they arrived. `url` is masked."""

    url: str
    address: str | None = None  # really connected to
    size_bytes: int
    etag: str | None = None
    last_modified: str | None = None
    md5: str
    sha256: str
    checksum: str = ""  # of the algorithm that was expected
    expected_checksum: str | None = None
    rule_set: str = ""  # of the safety rules that passed it
    conversions: tuple[Conversion, ...] = ()


class Provenance(Record):
    """The origin of an image as one entry of its log. One field, so that it never looks like a change of the image's."""

    provenance: Origin
