"""The guest's disk inside a file of any format. The confined probe loads this module, so it imports no rules."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import NamedTuple, cast

from storage.formats.blocks import Bytes


class Reader(NamedTuple):
    """The reader of a format's disk, as module:class, and the modules that it needs only for some files."""

    place: str
    needs: tuple[str, ...] = ()


READERS: Mapping[str, Reader] = {
    "qcow2": Reader("storage.formats.qcow2.disk:Qcow2Disk", ("backports.zstd",)),
    "vmdk": Reader("storage.formats.vmdk.disk:VmdkDisk"),
}
"""Formats that contain a guest's disk; in all others the file itself is the disk."""


def opener_of(image_format: str) -> Callable[[Bytes], Bytes]:
    """Return the opener of a format's guest disk with all its modules loaded, for use where no file can be opened."""
    reader = READERS.get(image_format)
    if reader is None:
        return lambda source: source
    for module in reader.needs:
        import_module(module)
    module, _, name = reader.place.partition(":")
    return cast("Callable[[Bytes], Bytes]", getattr(import_module(module), name))


def open_disk(source: Bytes, image_format: str) -> Bytes:
    """Open the guest's disk in a stored file of a format that passed the inspector. Raises MalformedDisk."""
    return opener_of(image_format)(source)
