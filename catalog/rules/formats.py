"""Which formats an image may have, and in which one a storage keeps it.

| | raw | qcow2 | vmdk | iso |
|---|---|---|---|---|
| system image | Template | Template | Template | ISO |
| volume image | DataTemplate | DataTemplate | DataTemplate | no |
| kept on an ImageStore as | raw | qcow2 | qcow2 | iso |
| kept on Ceph as | raw | raw | raw | iso |
"""

from collections.abc import Mapping

from catalog.errors import InvalidRequest
from catalog.records import ImageFormat, ImageType, Media, StorageKind

MEDIA: Mapping[ImageType, Mapping[ImageFormat, Media]] = {
    "System": {"raw": "Template", "qcow2": "Template", "vmdk": "Template", "iso": "ISO"},
    "Volume": {"raw": "DataTemplate", "qcow2": "DataTemplate", "vmdk": "DataTemplate"},
}
STORED: Mapping[StorageKind, Mapping[ImageFormat, ImageFormat]] = {
    "imagestore": {"raw": "raw", "qcow2": "qcow2", "vmdk": "qcow2", "iso": "iso"},
    "ceph": {"raw": "raw", "qcow2": "raw", "vmdk": "raw", "iso": "iso"},
}


def media_of(image_type: ImageType, image_format: ImageFormat) -> Media:
    """Return the media of an image. Raises InvalidRequest for a format that its type does not have."""
    allowed = MEDIA[image_type]
    if image_format not in allowed:
        raise InvalidRequest(
            "image_format", image_format, f"a {image_type.lower()} image is one of {', '.join(allowed)}"
        )
    return allowed[image_format]


def stored_format(kind: StorageKind, added: ImageFormat) -> ImageFormat:
    """Return the format in which a storage of this kind keeps a file that was added as `added`."""
    return STORED[kind][added]
