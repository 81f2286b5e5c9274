"""Adding images: the guide's Add Image page."""

from typing import Literal

from pydantic import Field

from catalog.records import Architecture, BiosMode, Platform
from flows.requests.form import ChangingRequest, at

SystemFormat = Literal["qcow2", "iso", "raw", "vmdk"]
VolumeFormat = Literal["qcow2", "raw", "vmdk"]

NAME = "1 to 128 characters: Chinese characters, letters, digits, spaces and - _ . ( ) : +, with no space at either end."
FORMAT = "Format of the file. vmdk is kept as qcow2 on an ImageStore and as raw on Ceph; the bytes are checked against this."
ARCHITECTURE = (
    "VM instances made from the image use it. aarch64, mips64el and loongarch64 always boot in UEFI mode."
)
OS = "Operating system inside the image, such as Debian 12, CentOS 7.6 or Windows Server 2019."
VIRTIO = "Attach VirtIO disk and network drivers; otherwise QEMU devices are used."
STORAGES = "Names of the image storages that keep the image; it is Ready when all of them hold it."
PATH = (
    "URL of the file: http(s)://host[:port]/path/file, ftp://[user:password@]host/path/file, "
    "sftp://user[:password]@host/path/file, s3://bucket/key, or file:///path/file on the image storage's own host "
    "(ImageStore only). Several URLs of the same file, separated by spaces, are mirrors. A password can be given as "
    "{secret:NAME} to keep it out of the run's parameters."
)
CHECKSUM = (
    "Optional: md5:…, sha1:…, sha256:… or sha512:… as published by the source, or sums:URL of a SHA256SUMS-style "
    "file, or sums: alone to look for one next to the image. A mismatch fails the add and keeps nothing."
)
BIOS = (
    "Legacy supports all operating systems and is the default; UEFI is required for aarch64, mips64el and "
    "loongarch64. For qcow2 and raw, take the mode used when the image was made; an ISO accepts both."
)
CSM = (
    "For operating systems that support UEFI only in part: required for Windows 7 and Windows Server 2008 R2 in "
    "UEFI mode; only with UEFI on x86_64."
)
BAREMETAL = "The image has the agent installed and may create elastic bare-metal instances (raw or qcow2; default UEFI)."
CREDENTIALS = (
    "Optional: name of a Prefect Secret block, or env:NAME; never the secret itself. It holds user:password (S3: "
    "key:secret), an SSH private key, or a JSON object of user, password, token, private_key, passphrase, access_key, "
    "secret_key, session_token, endpoint and region. Only the host of the first URL gets it, also for checksums there."
)
IMAGE_ID = "UUID; give it to resume an add that broke off, or to make it idempotent."


class AddImage(ChangingRequest):
    """What both kinds of image are asked for."""

    name: str = Field(**at(0, "Name", NAME))
    description: str = Field("", **at(1, "Description", "Optional; at most 2,048 characters."))
    image_storages: tuple[str, ...] = Field(("default",), **at(7, "Image Storage", STORAGES, min_length=1))
    image_path: str = Field(**at(8, "Image Path", PATH))
    expected_checksum: str | None = Field(None, **at(12, "Expected checksum", CHECKSUM))
    image_id: str | None = Field(None, **at(13, "Image id", IMAGE_ID))
    credentials: str | None = Field(None, **at(14, "Credentials", CREDENTIALS))


class AddSystemImage(AddImage):
    """Add a system image: it contains an OS and boots VM instances."""

    image_format: SystemFormat = Field("qcow2", **at(2, "Image Format", FORMAT))
    cpu_architecture: Architecture = Field("x86_64", **at(3, "CPU Architecture", ARCHITECTURE))
    platform: Platform = Field("Linux", **at(4, "Platform", "Decides how VirtIO drivers are used."))
    os: str = Field("", **at(5, "OS", OS))
    virtio: bool = Field(True, **at(6, "VirtIO", VIRTIO))
    bios_mode: BiosMode = Field("Legacy", **at(9, "BIOS Mode", BIOS))
    enable_csm: bool = Field(False, **at(10, "Enable CSM", CSM))
    elastic_baremetal: bool = Field(False, **at(11, "Support Elastic Baremetal Instance", BAREMETAL))


class AddVolumeImage(AddImage):
    """Add a volume image: it contains only data and creates volumes."""

    image_format: VolumeFormat = Field("qcow2", **at(2, "Image Format", FORMAT))
