"""Inspect an image's contents, read from one of its whole replicas."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

from catalog.errors import InvalidRequest
from catalog.files import written_aside
from catalog.log import events
from catalog.privacy import make_folder
from catalog.records import Contents, ContentsSeen, Image
from catalog.repository.catalog import Catalog
from catalog.rules.images.transitions import status_after
from catalog.rules.promotion.comparison import directory_sizes
from catalog.settings import Settings
from storage.boot.contents import bill_of_materials, contents
from storage.boot.file_tree import FileTree, file_tree
from storage.protocols import ImageReader
from storage.replicas.source import reader_of
from tasks.replicas.readable import whole_replicas
from tasks.runtime.resources import changing, open_image_storage, open_resources
from tasks.runtime.retries import retrying
from tasks.runtime.task import task

FOLDER = "contents"


@task(task_run_name="inspect {image.name}", **retrying())
def inspect(image: Image, account: str) -> Contents:
    """Inspect an image's contents, log a summary, and write its bill of materials below this host's home.

    Raises IllegalTransition unless the image is whole, InvalidRequest if no replica is whole, and the storages' errors.
    """
    return _inspected(image, account)[0]


def _inspected(image: Image, account: str) -> tuple[Contents, FileTree]:
    status_after(image, "export")
    with open_resources() as (settings, catalog):
        with _opened(settings, catalog, image) as (reader, image_format):
            found = contents(reader, image_format, image, catalog.now())
            tree = file_tree(reader, image_format)
        sizes = tuple(directory_sizes(tree.files))
        found = found.model_copy(
            update={"directories": sizes, "unread": tuple(dict.fromkeys((*found.unread, *tree.unread)))}
        )
        seen = ContentsSeen(
            guest_os=found.guest_os, packages=len(found.packages), findings=found.findings, unread=found.unread
        )
        with changing(catalog, account) as change:
            change.record(events.IMAGE_INSPECTED, f"image:{image.id}", after=seen)
        if not found.packages:
            return found, tree
        target = settings.home / FOLDER / f"{image.id}.cdx.json"
        make_folder(target.parent)
        with written_aside(target) as file:
            file.write(json.dumps(bill_of_materials(image, found), ensure_ascii=False, indent=1).encode())
    return found.model_copy(update={"cyclonedx": str(target)}), tree


@task(task_run_name="inspect {image.name} and list its files", **retrying())
def inspect_with_files(image: Image, account: str) -> tuple[Contents, FileTree]:
    """Do as `inspect`, and return the system's files too: one reading serves both."""
    return _inspected(image, account)


@contextmanager
def _opened(settings: Settings, catalog: Catalog, image: Image) -> Iterator[tuple[ImageReader, str]]:
    """Open the first whole replica of an image; yield its reader and its format."""
    replica = next(iter(whole_replicas(catalog, image.id)), None)
    if replica is None:
        raise InvalidRequest("image_id", image.id, "an image with an undamaged replica; verify its replicas first")
    storage = open_image_storage(catalog.image_storage(replica.image_storage), settings)
    with reader_of(storage, image.id) as reader:
        yield reader, replica.format
