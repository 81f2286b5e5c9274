"""Give every storage the format it keeps: vmdk becomes qcow2 on an ImageStore, everything but ISO raw on Ceph."""

from pathlib import Path

from prefect import task

from catalog.records import Conversion, Image, ImageFormat
from catalog.settings import Settings
from storage.arrival import Arrival
from storage.protocols import Digests, ImageStorage, LandingConverter
from tasks.artifacts import key_of
from tasks.landed import Kept, Landed, LandedOn
from tasks.progress import Meter, progress
from tasks.resources import open_image_storage, open_resources
from tasks.retries import retrying
from tasks.scratch import scratch_folder


@task(task_run_name="convert {image.name} for {place.image_storage}", **retrying())
def convert(image: Image, landed: Landed, place: LandedOn) -> Kept:
    """Return the file that the storage will keep: the landing itself where it keeps the format that was added.

    A conversion is proven by comparing guest-visible content; the landing it was made from is kept until the image is
    published. Raises ConversionFailed, MissingProgram.
    """
    with open_resources() as (settings, catalog):
        storage = open_image_storage(catalog.image_storage(place.image_storage), settings)
        wanted = storage.stored_format(image.format)
        if wanted == image.format:
            return Kept(image_storage=storage.name, landing_id=place.landing_id, format=wanted,
                        size_bytes=landed.digests.size_bytes, digests=landed.digests,
                        stored_bytes=place.stored_bytes)  # fmt: skip
        with progress(
            key_of("convert", image.id, storage.name), f"convert {image.name} to {wanted}"
        ) as meter:
            if isinstance(storage, LandingConverter):
                return _converted_there(storage, place, image.format, wanted, meter)
            return _converted(storage, place, image.format, wanted, settings, meter)


def _converted_there(
    storage: LandingConverter, place: LandedOn, added: ImageFormat, wanted: ImageFormat, meter: Meter
) -> Kept:
    """Have the storage convert its landing itself: no byte comes to this worker's disk."""
    made = storage.convert_landing(place.landing_id, added, f"{place.landing_id}.{wanted}", meter)
    return Kept(image_storage=place.image_storage, landing_id=made.landing_id, format=made.format,
                size_bytes=made.size_bytes, digests=None, stored_bytes=made.stored_bytes, converted=True,
                conversion=conversion_of(place.image_storage, added, wanted, None))  # fmt: skip


def _converted(
    storage: ImageStorage,
    place: LandedOn,
    added: ImageFormat,
    wanted: ImageFormat,
    settings: Settings,
    meter: Meter,
) -> Kept:
    from storage.formats.convert import convert_reader

    with scratch_folder(settings, "convert") as scratch:
        reader = storage.landing(place.landing_id).open()
        file = convert_reader(reader, added, wanted, scratch, meter)
        landing_id = f"{place.landing_id}.{wanted}"
        digests, stored_bytes = _land_file(storage, landing_id, file, settings.max_virtual_size)
    return Kept(image_storage=storage.name, landing_id=landing_id, format=wanted, size_bytes=digests.size_bytes,
                digests=digests, stored_bytes=stored_bytes, converted=True,
                conversion=conversion_of(storage.name, added, wanted, digests))  # fmt: skip


def conversion_of(
    image_storage: str, added: ImageFormat, wanted: ImageFormat, digests: Digests | None
) -> Conversion:
    """Return what the lineage says about a conversion: the exact arguments, but for the names of scratch files."""
    from storage.formats import qemu

    command = qemu.convert_command(Path("/scratch/input"), added, wanted, f"/scratch/output.{wanted}")
    return Conversion(
        image_storage=image_storage, from_format=added, to_format=wanted, program=qemu.version(),
        arguments=("qemu-img", "convert", *command), sha256=digests.sha256 if digests else None,
        md5=digests.md5 if digests else None,
    )  # fmt: skip


def _land_file(
    storage: ImageStorage, landing_id: str, file: Path, max_virtual_size: int
) -> tuple[Digests, int]:
    """Land a local file and return its digests and the bytes newly stored."""
    from storage.local import LocalFile

    source = LocalFile(file)
    info = source.probe()
    arrival = Arrival({storage.name: storage.landing(landing_id)}, max_virtual_size)
    try:
        arrival.start_over(info)
        arrival.pull(source, info, lambda _done, _total: None)
        arrived = arrival.finish()
    finally:
        arrival.close()
    return arrived.digests, arrived.stored[storage.name].stored_bytes
