"""A landing in the format that its storage keeps: vmdk becomes qcow2 on an ImageStore, everything but ISO raw on Ceph."""

from pathlib import Path

from catalog.records import Conversion, ImageFormat, Record
from catalog.settings import Settings
from storage.formats.convert import convert_reader
from storage.local_files import LocalSource
from storage.programs import qemu_img
from storage.protocols import Converted, Digests, ImageStorage, LandingConverter, Progress
from storage.replicas.copy import land
from storage.replicas.source import landing_reader
from storage.scratch import scratch_folder


class StoredCopy(Record):
    """The file as one storage will keep it: the landing itself, or its converted twin."""

    image_storage: str
    landing_id: str
    format: ImageFormat
    size_bytes: int
    digests: Digests | None  # None: the storage converted it itself, and measures it when it is first needed
    stored_bytes: int
    converted: bool = False
    conversion: Conversion | None = None  # how, for the lineage


def convert_landing(
    storage: ImageStorage, landing_id: str, added: ImageFormat, settings: Settings, progress: Progress
) -> StoredCopy:
    """Return a landing's twin in the storage's format, proven by comparing guest-visible content; the landing stays.

    added: the landing's format. Raises ConversionFailed, MissingProgram, CapacityExceeded and the storage's errors.
    """
    wanted = storage.stored_format(added)
    twin = f"{landing_id}.{wanted}"
    digests = None
    if isinstance(storage, LandingConverter):  # no byte comes to this worker's disk
        made = storage.convert_landing(landing_id, added, twin, progress)
    else:
        made, digests = _convert(storage, landing_id, added, twin, settings, progress)
    return StoredCopy(
        image_storage=storage.name,
        landing_id=made.landing_id,
        format=made.format,
        size_bytes=made.size_bytes,
        digests=digests,
        stored_bytes=made.stored_bytes,
        converted=True,
        conversion=_conversion(storage.name, added, wanted, digests),
    )


def _convert(
    storage: ImageStorage, landing_id: str, added: ImageFormat, twin: str, settings: Settings, progress: Progress
) -> tuple[Converted, Digests]:
    wanted = storage.stored_format(added)
    with scratch_folder(settings, "convert") as scratch:
        with landing_reader(storage, landing_id) as reader:
            file = convert_reader(reader, added, wanted, scratch, progress)
        digests, stored = land(LocalSource(file), storage, twin)
    made = Converted(landing_id=twin, format=wanted, size_bytes=digests.size_bytes, stored_bytes=stored.stored_bytes)
    return made, digests


def _conversion(image_storage: str, added: ImageFormat, wanted: ImageFormat, digests: Digests | None) -> Conversion:
    """Return what the lineage says: the exact arguments, but for the names of scratch files."""
    command = qemu_img.convert_command(Path("/scratch/input"), added, wanted, f"/scratch/output.{wanted}")
    return Conversion(
        image_storage=image_storage,
        from_format=added,
        to_format=wanted,
        program=qemu_img.version(),
        arguments=("qemu-img", "convert", *command),
        sha256=digests.sha256 if digests else None,
        md5=digests.md5 if digests else None,
    )
