"""The base class of all records, and the types of their choices."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

ImageType = Literal["System", "Volume"]
ImageFormat = Literal["qcow2", "iso", "raw", "vmdk"]
VolumeFormat = Literal["qcow2", "raw", "vmdk"]
"""Formats of images that hold only data."""
Media = Literal["Template", "DataTemplate", "ISO"]
Architecture = Literal["x86_64", "aarch64", "mips64el", "loongarch64"]
Platform = Literal["Linux", "Windows", "Other"]
BiosMode = Literal["Legacy", "UEFI"]
SharingMode = Literal["none", "specified", "global"]
StorageKind = Literal["imagestore", "ceph"]
PrimaryKind = Literal["local", "ceph"]
BootStage = Literal["boots", "login", "cloud-init"]
"""How far a boot is watched: until a boot loader or kernel shows, the login prompt comes, or cloud-init is done."""
State = Literal["Enabled", "Disabled"]
Connection = Literal["Connected", "Disconnected"]
RetentionPolicy = Literal["direct", "delay", "never"]


class Record(BaseModel):
    """Base class of all records: immutable, without undeclared fields."""

    # defer_build: half of the import time went into validators of records that a call never uses
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)
