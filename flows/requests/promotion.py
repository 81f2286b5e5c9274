"""Families of images: what is the latest of each, how that moves, and what is watched for new builds."""

from urllib.parse import quote

from pydantic import Field, field_validator

from catalog.records import AddValue, Architecture, BootLevel, HygieneRule, Severity, SignatureRule, WatchKind
from catalog.units import EIB, LONGEST_DAYS
from flows.registry import Cron, Present, operation
from flows.requests.form import ChangingRequest, Id, ImageName, Request, at
from flows.requests.images import BOOT_COMMAND

KEEP_LAST = "How many of its newest builds stay for each architecture; default: all."
KEEP_DAYS = "How many days a build stays at least; default: with Keep last none, else for ever."
DEPRECATE = "Days after which a build that is not the latest is deprecated; default: never."
SOAK = "Hours that a build must be Ready before it is promoted automatically."
BOOTS = (
    "boots: a build has to boot under QEMU as it is declared; login: until it asks for a login; cloud-init: until cloud-init is done "
    "with a NoCloud seed."
)
HYGIENE = "A build is looked into for host keys, a machine id, passwords and keys: off; warn: it is told; refuse: none may be there."
SIGNATURE = "required: only builds whose list of checksums a key of their watch signed."
FAMILY_STORAGES = "Image storages that must hold a build completely before it is promoted."
REASON = "Reason, recorded together with what was observed."
URL = "http(s) address of the file (url), of the page or folder that lists files (listing), or of the index (simplestreams)."
PATTERN = (
    "Name of the file with {version}, {arch} and * in it, folders before it where they have a version: "
    "{version}/os-{version}-{arch}.qcow2."
)
CHECKSUMS = "Address of the list of checksums, absolute or relative to the file, with {version}, {arch} and {file} in it: SHA256SUMS."
SIGNATURE_URL = "Address of the list's own signature, likewise; left out where the list is clear-signed. Of cosign: the signature, or its bundle."
KEYS = "Keys whose signature is required, OpenPGP or cosign (PEM of ECDSA P-256, Ed25519): armoured text, or a file of the host with it."
OSV = (
    "URL, or path on the host that reads the image, of an OSV export: a zip or folder of JSON records, JSON lines or JSON; for instance a "
    "distribution's all.zip. Nothing is asked of anybody else."
)
FAIL_FROM = "What is so severe or worse, and has a fix that the image lacks, fails, and so does the command; unknown: whatever has a fix. Empty: nothing."
ADD = "Fields of the add request for what it brings, such as os=Debian 12, bios_mode=UEFI, image_storages."


@operation(
    "flows.promotion.family",
    rights="admin",
    run="set family {name}",
    bytes_at="none",
    buttons=("family", "families"),
    present=Present("family", fixed=("name",)),
)
class SetFamily(ChangingRequest):
    """Make a family of images, or change its rules: what a build has to prove before it is the latest, and how long it stays."""

    name: ImageName = Field(**at(0, "Name", "Name of the family; the rules of image names apply."))
    description: str = Field("", **at(1, "Description", "At most 2,048 characters."))
    labels: tuple[str, ...] = Field((), **at(2, "Labels", "key=value."))
    keep_last: int | None = Field(None, **at(3, "Keep last", KEEP_LAST, ge=1, le=EIB))
    keep_days: float | None = Field(None, **at(4, "Keep days", KEEP_DAYS, ge=0, le=LONGEST_DAYS))
    keep_used: bool = Field(
        True,
        **at(5, "Keep used", "Keep builds from which volumes or other images were made, whatever the other rules say."),
    )
    deprecate_after_days: float | None = Field(None, **at(6, "Deprecate after", DEPRECATE, ge=0, le=LONGEST_DAYS))
    soak_hours: float = Field(0, **at(7, "Soak", SOAK, ge=0, le=LONGEST_DAYS * 24))
    approval: bool = Field(
        False, **at(8, "Approval", "A person promotes its builds; none becomes the latest automatically.")
    )
    boot_check: BootLevel = Field(
        "none",
        **at(9, "Boot check", BOOTS),
    )
    boot_command: str = Field("", **at(13, "Boot command", BOOT_COMMAND, max_length=2048))
    hygiene: HygieneRule = Field("warn", **at(12, "Hygiene", HYGIENE))
    signature: SignatureRule = Field("none", **at(10, "Signature", SIGNATURE))
    image_storages: tuple[str, ...] = Field((), **at(11, "Image Storages", FAMILY_STORAGES))


@operation(
    "flows.promotion.family",
    rights="admin",
    run="delete family {name}",
    bytes_at="none",
    buttons=("family",),
    irreversible=True,
)
class DeleteFamily(ChangingRequest):
    """Delete a family with what it promoted; its images stay."""

    name: str = Field(**at(0, "Name", "Name of the family."))


@operation(
    "flows.promotion.promote",
    rights="admin",
    run="promote {image_id} in {family}",
    lock="none: the gates change nothing, and what follows is one transaction",
    bytes_at="a replica",
    buttons=("build",),
)
class PromoteImage(ChangingRequest):
    """Make an image the latest of a family if it passes the family's gates."""

    image_id: Id = Field(**at(0, "Image", "Id of the image."))
    family: str = Field(**at(1, "Family", "Name of the family."))
    reason: str = Field("", **at(2, "Reason", REASON, max_length=2048))


@operation("flows.promotion.rollback", rights="admin", run="roll back {family}", bytes_at="none", buttons=("latest",))
class RollBackFamily(ChangingRequest):
    """Roll a family back: make a previously promoted image its latest again."""

    family: str = Field(**at(0, "Family", "Name of the family."))
    cpu_architecture: Architecture = Field(
        "x86_64", **at(1, "CPU Architecture", "Architecture whose latest image is rolled back.")
    )
    to: Id | None = Field(None, **at(2, "To", "Id of an image that was promoted before; default: the one before."))
    reason: str = Field("", **at(3, "Reason", REASON, max_length=2048))


@operation(
    "flows.promotion.recall", rights="admin", run="recall {image_id}", bytes_at="none", buttons=("latest", "build")
)
class RecallImage(ChangingRequest):
    """Recall an image: nothing new is made from it, families roll back, and its users are listed."""

    image_id: Id = Field(**at(0, "Image", "Id of the image."))
    reason: str = Field(**at(1, "Reason", REASON, min_length=1, max_length=2048))
    descendants: bool = Field(
        False, **at(2, "Descendants", "Also recall images made from it; otherwise they are only listed.")
    )


@operation(
    "flows.promotion.life_cycle",
    rights="admin",
    single=True,
    schedule=Cron("45 2 * * *", "nightly"),
    lock="none: one transaction an image",
    left="what was not decided yet, for the next one",
    queue="bulk",
    bytes_at="none",
)
class ApplyLifeCycle(ChangingRequest):
    """Deprecate and delete builds by the rules of their families, and say of each why it stays or goes."""

    families: tuple[str, ...] = Field((), **at(0, "Families", "Names; empty: all."))


@operation(
    "flows.promotion.contents",
    rights="whoever sees the image",
    run="inspect {image_id}",
    lock="none",
    left="nothing",
    bytes_at="a replica",
)
class InspectContents(Request):
    """Read what is inside an image: OS, kernels, packages, users, and what should not be there; with a bill of materials."""

    image_id: Id = Field(**at(0, "Image", "Id of the image."))


@operation(
    "flows.promotion.contents",
    rights="whoever sees the image",
    run="compare {a} and {b}",
    lock="none",
    left="nothing",
    bytes_at="none",
)
class CompareImages(Request):
    """Say how two images differ inside: packages and their versions, kernels, OS, size, findings."""

    a: Id = Field(**at(0, "A", "Id of the image before."))
    b: Id = Field(**at(1, "B", "Id of the image after."))


@operation(
    "flows.promotion.vulnerabilities",
    rights="whoever sees the image",
    run="find vulnerabilities of {image_id}",
    lock="none",
    left="nothing",
    bytes_at="a replica",
)
class FindVulnerabilities(Request):
    """Say which packages of an image an OSV export knows to be vulnerable: ids, versions, the version that has the fix, how severe."""

    image_id: Id = Field(**at(0, "Image", "Id of the image."))
    osv: str = Field(**at(1, "OSV export", OSV))
    fail_from: Severity | None = Field(None, **at(2, "Fail from", FAIL_FROM))

    @field_validator("osv", mode="after")
    @classmethod
    def _as_address(cls, given: str) -> str:
        """Spell a path as the address of a file, by which it is known who may name it."""
        return f"file://{quote(given)}" if given.startswith("/") else given


@operation("flows.promotion.watch", rights="admin", run="set watch {name}", bytes_at="none")
class SetWatch(ChangingRequest):
    """Watch where a publisher puts the builds of a family, or change that; a watch that is set again begins anew."""

    name: ImageName = Field(**at(0, "Name", "Name of the watch; the rules of image names apply."))
    family: str = Field(**at(1, "Family", "Name of the family that its builds belong to."))
    kind: WatchKind = Field(**at(2, "Kind", "url, listing or simplestreams."))
    url: str = Field(**at(3, "URL", URL))
    pattern: str | None = Field(None, **at(4, "Pattern", PATTERN))
    cpu_architecture: Architecture = Field("x86_64", **at(5, "CPU Architecture", "Of the builds."))
    checksums_url: str | None = Field(None, **at(6, "Checksums URL", CHECKSUMS))
    signature_url: str | None = Field(None, **at(7, "Signature URL", SIGNATURE_URL))
    public_keys: tuple[str, ...] = Field((), **at(8, "Public keys", KEYS, max_length=16))
    add: dict[str, AddValue] = Field(default_factory=dict, **at(9, "Add", ADD))

    @field_validator("add", mode="after")
    @classmethod
    def _fits_an_add(cls, given: dict[str, AddValue]) -> dict[str, AddValue]:
        """Refuse what no add request takes, before anything is watched."""
        from flows.requests.add import add_of

        add_of({"name": "x", "image_path": "https://example.org/x", **with_lists(given)})
        return given


def with_lists(given: dict[str, AddValue]) -> dict[str, AddValue]:
    """Return fields of an add with a single name of several as a list of one: a command gives it so."""
    several = ("image_storages", "labels")
    return {name: (value,) if name in several and isinstance(value, str) else value for name, value in given.items()}


@operation("flows.promotion.watch", rights="admin", run="delete watch {name}", bytes_at="none")
class DeleteWatch(ChangingRequest):
    """Watch something no longer; what it brought stays."""

    name: str = Field(**at(0, "Name", "Name of the watch."))


@operation(
    "flows.promotion.check",
    rights="admin",
    single=True,
    schedule=Cron("17 * * * *", "hourly"),
    lock="the image's, of each build that is added",
    left="the build's landing: the next check goes on with it",
    queue="bulk",
    bytes_at="none",
)
class CheckWatches(ChangingRequest):
    """Look what publishers have put out: a new build is added, has to pass its family's gates, and becomes the latest."""

    names: tuple[str, ...] = Field((), **at(0, "Watches", "Names; empty: all."))
