"""Valid combinations of image settings.

| medium | raw | qcow2 | vmdk | iso |
|---|---|---|---|---|
| system image | Template | Template | Template | ISO |
| volume image | DataTemplate | DataTemplate | DataTemplate | no |

| architecture | Legacy | UEFI | CSM |
|---|---|---|---|
| x86_64 | yes, the default | yes | with UEFI |
| aarch64, mips64el, loongarch64 | no | yes, the default | no |

Elastic bare metal: system images, raw or qcow2, with a BIOS mode (UEFI by default). Volume images have none of these
settings. `contradictions` compares the settings with the bytes.
"""

from collections.abc import Mapping

from catalog.errors import InvalidRequest
from catalog.records import Architecture, BiosMode, Image, ImageFormat, ImageType, Media
from catalog.rules.images.contradictions import contradictions
from catalog.rules.images.operating_systems import UEFI_LIST, uefi_support

__all__ = [
    "check_image",
    "check_system_image",
    "check_volume_image",
    "contradictions",
    "media_of",
    "settled",
    "settled_bios_mode",
]

MEDIA: Mapping[ImageType, Mapping[ImageFormat, Media]] = {
    "System": {"raw": "Template", "qcow2": "Template", "vmdk": "Template", "iso": "ISO"},
    "Volume": {"raw": "DataTemplate", "qcow2": "DataTemplate", "vmdk": "DataTemplate"},
}
MODES: Mapping[Architecture, tuple[BiosMode, ...]] = {  # the first is the default
    "x86_64": ("Legacy", "UEFI"),
    "aarch64": ("UEFI",),
    "mips64el": ("UEFI",),
    "loongarch64": ("UEFI",),
}
CSM_ARCHITECTURE: Architecture = "x86_64"
ELASTIC_FORMATS: tuple[ImageFormat, ...] = ("raw", "qcow2")
SYSTEM_ONLY = ("cpu_architecture", "platform", "virtio", "bios_mode", "enable_csm", "elastic_baremetal", "os")


def media_of(image_type: ImageType, image_format: ImageFormat) -> Media:
    """Return the media of an image. Raises InvalidRequest for a format that its type does not have."""
    allowed = MEDIA[image_type]
    if image_format not in allowed:
        raise InvalidRequest(
            "image_format", image_format, f"a {image_type.lower()} image is one of {', '.join(allowed)}"
        )
    return allowed[image_format]


def settled_bios_mode(asked: BiosMode | None, architecture: Architecture, elastic_baremetal: bool = False) -> BiosMode:
    """Return the requested mode, otherwise the default. `check_system_image` checks whether it is allowed."""
    if asked is not None:
        return asked
    return "UEFI" if elastic_baremetal else MODES[architecture][0]


def settled(image: Image) -> Image:
    """Return an image with what follows from what was asked for: its medium, and a BIOS mode where none was.

    Raises InvalidRequest for a format that its type does not have.
    """
    image = image.model_copy(update={"media": media_of(image.image_type, image.format)})
    if image.cpu_architecture is None:
        return image
    mode = settled_bios_mode(image.bios_mode, image.cpu_architecture, image.elastic_baremetal)
    return image.model_copy(update={"bios_mode": mode})


def check_image(image: Image) -> None:
    """Raise InvalidRequest if the settings of an image contradict each other."""
    if image.image_type == "System":
        check_system_image(image)
    else:
        check_volume_image(image)


def check_volume_image(image: Image) -> None:
    """Raise InvalidRequest if a volume image has a setting that only system images have, or is an ISO."""
    for parameter in SYSTEM_ONLY:
        value = getattr(image, parameter)
        if value not in (None, False, ""):
            raise InvalidRequest(parameter, value, "a volume image holds only data; leave it out")
    media_of("Volume", image.format)


def check_system_image(image: Image) -> None:
    """Raise InvalidRequest if the boot settings of a system image contradict each other or its OS."""
    _check_mode(image)
    _check_csm(image)
    _check_os(image)
    if image.elastic_baremetal:
        _check_elastic(image)


def _check_mode(image: Image) -> None:
    if image.bios_mode is None or image.cpu_architecture is None:
        return
    allowed = MODES[image.cpu_architecture]
    if image.bios_mode not in allowed:
        raise InvalidRequest(
            "bios_mode",
            image.bios_mode,
            f"cpu_architecture {image.cpu_architecture} always boots in {' or '.join(allowed)} mode",
        )


def _check_csm(image: Image) -> None:
    if image.enable_csm and (image.bios_mode, image.cpu_architecture) != ("UEFI", CSM_ARCHITECTURE):
        raise InvalidRequest(
            "enable_csm",
            True,
            f"CSM goes only with bios_mode UEFI on cpu_architecture {CSM_ARCHITECTURE}; "
            f"this is {image.bios_mode} on {image.cpu_architecture}",
        )


def _check_os(image: Image) -> None:
    if image.bios_mode != "UEFI":
        return
    support = uefi_support(image.os)
    if support == "no":
        raise InvalidRequest("os", image.os, f"it is too old for bios_mode UEFI; these boot in it: {UEFI_LIST}")
    if support == "with CSM" and not image.enable_csm:
        raise InvalidRequest("enable_csm", False, f"{image.os} boots in UEFI mode only with CSM enabled")


def _check_elastic(image: Image) -> None:
    if image.format not in ELASTIC_FORMATS:
        raise InvalidRequest(
            "elastic_baremetal",
            True,
            f"it needs image_format {' or '.join(ELASTIC_FORMATS)}, not {image.format}",
        )
    if image.bios_mode is None:
        raise InvalidRequest("bios_mode", None, "elastic_baremetal needs one: UEFI (recommended) or Legacy")
