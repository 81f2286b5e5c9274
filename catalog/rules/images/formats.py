"""Which formats an image may have, and what medium it is then.

| | raw | qcow2 | vmdk | iso |
|---|---|---|---|---|
| system image | Template | Template | Template | ISO |
| volume image | DataTemplate | DataTemplate | DataTemplate | no |
"""

from collections.abc import Mapping

from catalog.errors import InvalidRequest
from catalog.records import ImageFormat, ImageType, Media

MEDIA: Mapping[ImageType, Mapping[ImageFormat, Media]] = {
    "System": {"raw": "Template", "qcow2": "Template", "vmdk": "Template", "iso": "ISO"},
    "Volume": {"raw": "DataTemplate", "qcow2": "DataTemplate", "vmdk": "DataTemplate"},
}


def media_of(image_type: ImageType, image_format: ImageFormat) -> Media:
    """Return the media of an image. Raises InvalidRequest for a format that its type does not have."""
    allowed = MEDIA[image_type]
    if image_format not in allowed:
        raise InvalidRequest(
            "image_format", image_format, f"a {image_type.lower()} image is one of {', '.join(allowed)}"
        )
    return allowed[image_format]
