"""What is inside an image, read from one of its whole replicas."""

import json

from catalog.errors import InvalidRequest
from catalog.files import written_aside
from catalog.log import events
from catalog.privacy import make_folder
from catalog.records import Contents, ContentsSeen, Image
from catalog.rules.images.transitions import status_after
from storage.boot.contents import bill_of_materials, contents
from storage.replicas.source import reader_of
from tasks.replicas.readable import whole_replicas
from tasks.runtime.resources import changing, open_image_storage, open_resources
from tasks.runtime.retries import retrying
from tasks.runtime.task import task

FOLDER = "contents"


@task(task_run_name="inspect {image.name}", **retrying())
def inspect(image: Image, account: str) -> Contents:
    """Read what is inside an image, log what it came to, and write its bill of materials below the home of this host.

    Raises IllegalTransition unless the image is whole, InvalidRequest where no replica of it is, and as storages do.
    """
    status_after(image, "export")
    with open_resources() as (settings, catalog):
        replica = next(iter(whole_replicas(catalog, image.id)), None)
        if replica is None:
            raise InvalidRequest("image_id", image.id, "an image with an undamaged replica; verify its replicas first")
        storage = open_image_storage(catalog.image_storage(replica.image_storage), settings)
        with reader_of(storage, image.id) as reader:
            found = contents(reader, replica.format, image, catalog.now())
        seen = ContentsSeen(
            guest_os=found.guest_os, packages=len(found.packages), findings=found.findings, unread=found.unread
        )
        with changing(catalog, account) as change:
            change.record(events.IMAGE_INSPECTED, f"image:{image.id}", after=seen)
        if not found.packages:
            return found
        target = settings.home / FOLDER / f"{image.id}.cdx.json"
        make_folder(target.parent)
        with written_aside(target) as file:
            file.write(json.dumps(bill_of_materials(image, found), ensure_ascii=False, indent=1).encode())
    return found.model_copy(update={"cyclonedx": str(target)})
