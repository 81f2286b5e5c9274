"""Give every storage the format it keeps."""

from catalog.records import Image
from storage.replicas.convert import StoredCopy, convert_landing
from tasks.add.results import Landed, LandedOn
from tasks.runtime.resources import open_image_storage, open_resources
from tasks.runtime.retries import retrying
from tasks.runtime.runs.notify import key_of
from tasks.runtime.runs.progress import progress
from tasks.runtime.task import task


@task(task_run_name="convert {image.name} for {place.image_storage}", **retrying())
def convert(image: Image, landed: Landed, place: LandedOn) -> StoredCopy:
    """Return the file that the storage will keep: the landing itself where it keeps the format that was added.

    The landing that a file was converted from is kept until the image is published. Raises ConversionFailed, MissingProgram.
    """
    with open_resources() as (settings, catalog):
        storage = open_image_storage(catalog.image_storage(place.image_storage), settings)
        wanted = storage.stored_format(image.format)
        if wanted == image.format:
            return StoredCopy(
                image_storage=storage.name, landing_id=place.landing_id, format=wanted,
                size_bytes=landed.digests.size_bytes, digests=landed.digests, stored_bytes=place.stored_bytes,
            )  # fmt: skip
        with progress(key_of("convert", image.id, storage.name), f"convert {image.name} to {wanted}") as meter:
            return convert_landing(storage, place.landing_id, image.format, settings, meter)
