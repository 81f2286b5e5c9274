"""Adding images: the guide's Add Image page."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, SerializerFunctionWrapHandler, WrapSerializer

from catalog.errors import InvalidRequest
from catalog.records import Architecture, BiosMode, ImageFormat, Platform, VolumeFormat
from catalog.rules.storages.sources import SPELLINGS
from flows.registry import operation
from flows.requests.form import Id, ImageName, PatientRequest, at

BootCheckMode = Literal["none", "boots"]

NAME = (
    "1 to 128 characters: Chinese characters, letters, digits, spaces and - _ . ( ) : +, with no space at either end."
)
FORMAT = (
    "Format of the file. vmdk is kept as qcow2 on an ImageStore and as raw on Ceph; the bytes are checked against this."
)
ARCHITECTURE = "VM instances made from the image use it. aarch64, mips64el and loongarch64 always boot in UEFI mode."
OS = "Operating system inside the image, such as Debian 12, CentOS 7.6 or Windows Server 2019."
VIRTIO = "Attach VirtIO disk and network drivers; otherwise QEMU devices are used."
STORAGES = "Names of the image storages that keep the image; it is Ready when all of them hold it."
PATH = (
    f"URL of the file: {', '.join(SPELLINGS)}; a file lies on the image storage's own host (ImageStore only). "
    "Several URLs of the same file, separated by spaces, are mirrors; a space within a name is taken as %20. A password "
    "can be given as {secret:NAME} to keep it out of the run's parameters."
)
CHECKSUM = (
    "Optional: sha256:…, sha512:…, md5:… or another algorithm (sha3-512, blake2b, sha384, …) as published by the source, or "
    "sums:URL of a list such as SHA256SUMS, or sums: alone to look for one next to the image. A mismatch fails the add and "
    "keeps nothing."
)
BIOS = (
    "Legacy supports all operating systems and is the default; UEFI is required for aarch64, mips64el and "
    "loongarch64. For qcow2 and raw, take the mode used when the image was made; an ISO accepts both."
)
CSM = (
    "For operating systems that support UEFI only in part: required for Windows 7 and Windows Server 2008 R2 in "
    "UEFI mode; only with UEFI on x86_64."
)
BAREMETAL = (
    "The image has the agent installed and may create elastic bare-metal instances (raw or qcow2; default UEFI)."
)
CREDENTIALS = (
    "Optional: name of a Prefect Secret block, or env:NAME; never the secret itself. It holds user:password (S3: "
    "key:secret), an SSH private key, or a JSON object of user, password, token, private_key, passphrase, access_key, "
    "secret_key, session_token, endpoint and region. Only the host of the first URL gets it, also for checksums there."
)
BOOT_CHECK = (
    "none, or boots: the image is booted under QEMU as it was declared before it becomes Ready, and is kept only if a boot "
    "loader or kernel shows itself. Takes up to some minutes, on x86_64 and aarch64."
)
ACCEPT = (
    "Add the file as a disk although it looks like something else, such as an archive or a text; recorded with the image. "
    "What is dangerous, truncated or too large stays refused."
)
FAMILY = "Family that the image is a build of; `imagewright set-family` makes one that promotes."
VERSION = "The publisher's version of the build, such as 12.5-20240211; 1.10 is after 1.9."
PARENT = "Id of the image that this one was made of: a recall of that one reaches it."
IMAGE_ID = "UUID; give it to resume an add that broke off, or to make it idempotent."

LANDING = "the image's landing: the same `image_id` goes on with it"


class AddImage(PatientRequest):
    """What both kinds of image are asked for."""

    name: ImageName = Field(**at(0, "Name", NAME))
    description: str = Field("", **at(1, "Description", "Optional; at most 2,048 characters."))
    image_storages: tuple[str, ...] = Field(("default",), **at(7, "Image Storage", STORAGES, min_length=1))
    image_path: str = Field(**at(8, "Image Path", PATH))
    expected_checksum: str | None = Field(None, **at(12, "Expected checksum", CHECKSUM))
    image_id: Id | None = Field(None, **at(13, "Image id", IMAGE_ID))
    credentials: str | None = Field(None, **at(14, "Credentials", CREDENTIALS))
    family: str | None = Field(None, **at(17, "Family", FAMILY))
    version: str | None = Field(None, **at(18, "Version", VERSION))
    labels: tuple[str, ...] = Field((), **at(19, "Labels", "key=value, by which images are found."))
    parent: Id | None = Field(None, **at(20, "Parent", PARENT))
    accept_unrecognized: bool = Field(False, **at(16, "Accept unrecognized", ACCEPT))


@operation(
    "flows.add.image",
    rights="anybody",
    run="add {name}",
    lock="the image's",
    left=LANDING,
    buttons=("images", "upload"),
    adds="System",
    bytes_at="named storages",
)
class AddSystemImage(AddImage):
    """Add a system image: it contains an OS and boots VM instances."""

    image_format: ImageFormat = Field("qcow2", **at(2, "Image Format", FORMAT))
    cpu_architecture: Architecture = Field("x86_64", **at(3, "CPU Architecture", ARCHITECTURE))
    platform: Platform = Field("Linux", **at(4, "Platform", "Decides how VirtIO drivers are used."))
    os: str = Field("", **at(5, "OS", OS))
    virtio: bool = Field(True, **at(6, "VirtIO", VIRTIO))
    bios_mode: BiosMode = Field("Legacy", **at(9, "BIOS Mode", BIOS))
    enable_csm: bool = Field(False, **at(10, "Enable CSM", CSM))
    elastic_baremetal: bool = Field(False, **at(11, "Support Elastic Baremetal Instance", BAREMETAL))
    boot_check: BootCheckMode = Field("none", **at(15, "Boot check", BOOT_CHECK))


@operation(
    "flows.add.image",
    rights="anybody",
    run="add {name}",
    lock="the image's",
    left=LANDING,
    buttons=("images", "upload"),
    adds="Volume",
    bytes_at="named storages",
)
class AddVolumeImage(AddImage):
    """Add a volume image: it contains only data and creates volumes."""

    image_format: VolumeFormat = Field("qcow2", **at(2, "Image Format", FORMAT))


def add_of(fields: Mapping[str, object]) -> "AddSystemImage | AddVolumeImage":
    """Return the add that one row of many asks for. `image_type` says of which kind, System where it says nothing.

    Raises ValidationError, InvalidRequest.
    """
    given = dict(fields)
    kind = given.pop("image_type", "System")
    if kind not in KINDS_OF_IMAGE:
        raise InvalidRequest("image_type", str(kind), " or ".join(KINDS_OF_IMAGE))
    return KINDS_OF_IMAGE[str(kind)].model_validate(given)


def _of_its_kind(given: object) -> object:
    return add_of(given) if isinstance(given, Mapping) else given


def _with_its_kind(add: AddSystemImage | AddVolumeImage, plain: SerializerFunctionWrapHandler) -> object:
    return {**plain(add), "image_type": "Volume" if isinstance(add, AddVolumeImage) else "System"}


KINDS_OF_IMAGE: Mapping[str, type[AddSystemImage | AddVolumeImage]] = {
    "System": AddSystemImage,
    "Volume": AddVolumeImage,
}
OneOfMany = Annotated[AddSystemImage | AddVolumeImage, BeforeValidator(_of_its_kind), WrapSerializer(_with_its_kind)]
FILE = (
    "YAML, JSON or CSV file with one add a row, of the fields of the two other forms and image_type (System or Volume); only for "
    "the command and a call, which read it where they are."
)


@operation(
    "flows.add.images",
    rights="anybody",
    run="add several images",
    lock="each image's",
    left=LANDING,
    bytes_at="named storages",
)
class AddImages(PatientRequest):
    """Add several images in one run: one that fails stops no other, and the same request again adds what is missing."""

    requests: tuple[OneOfMany, ...] = Field(
        (), **at(0, "Images", "The adds, each as in its own form, and its image_type.")
    )
    file: str | None = Field(None, **at(1, "File", FILE))
    at_once: int = Field(4, **at(2, "At once", "How many are added at the same time.", ge=1, le=32))
