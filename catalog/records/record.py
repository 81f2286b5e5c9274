"""What all records share: the words for choices, and being immutable."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

ImageType = Literal["System", "Volume"]
ImageFormat = Literal["qcow2", "iso", "raw", "vmdk"]
VolumeFormat = Literal["qcow2", "raw", "vmdk"]
"""Of images that hold only data."""
Media = Literal["Template", "DataTemplate", "ISO"]
Architecture = Literal["x86_64", "aarch64", "mips64el", "loongarch64"]
Platform = Literal["Linux", "Windows", "Other"]
BiosMode = Literal["Legacy", "UEFI"]
SharingMode = Literal["none", "specified", "global"]
StorageKind = Literal["imagestore", "ceph"]
PrimaryKind = Literal["local", "ceph"]
BootStage = Literal["boots", "login", "cloud-init"]
"""How far a boot is watched: until a boot loader or kernel shows itself, or until it asks for a login."""
State = Literal["Enabled", "Disabled"]
Connection = Literal["Connected", "Disconnected"]
RetentionPolicy = Literal["direct", "delay", "never"]


class Record(BaseModel):
    """What all records share: immutable, and no field that is not declared."""

    # defer_build: half of the import time was building validators of records that a call never meets
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)
