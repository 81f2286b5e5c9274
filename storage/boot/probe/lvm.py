"""Logical volumes of LVM2, read by libvslvm: many distributions install their root file system on one."""

import pyvslvm

from storage.boot.probe.filesystems import Stream
from storage.formats.blocks import Bytes

MAX_VOLUMES = 32


class LogicalVolume:
    """One logical volume as a readable part."""

    def __init__(self, volume: "pyvslvm.logical_volume", keep: object) -> None:
        self._volume, self._keep = volume, keep
        self.size_bytes = int(volume.size)

    def read_at(self, offset: int, size: int) -> bytes:
        """Return `size` bytes from `offset`, fewer only at the end."""
        size = max(min(size, self.size_bytes - offset), 0)
        return bytes(self._volume.read_buffer_at_offset(size, offset)) if size else b""


def logical_volumes(part: Bytes) -> tuple[LogicalVolume, ...]:
    """Return the logical volumes of a group that lies in one part; none where it spans disks or is damaged."""
    try:
        handle, stream = pyvslvm.handle(), Stream(part)
        handle.open_file_object(stream)
        handle.open_physical_volume_files_as_file_objects([stream])
        group = handle.get_volume_group()
        count = min(group.number_of_logical_volumes, MAX_VOLUMES)
        return tuple(LogicalVolume(group.get_logical_volume(n), (handle, stream, group)) for n in range(count))
    except OSError:
        return ()
