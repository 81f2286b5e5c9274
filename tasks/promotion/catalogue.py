"""Read the records that are set now, by section of a catalogue as code."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from catalog.records import Record
from tasks.runtime.resources import open_resources
from tasks.runtime.retries import retrying
from tasks.runtime.task import task

if TYPE_CHECKING:
    from catalog.repository.reading.reading import Reading


@task(task_run_name="read what is set", **retrying())
def what_is_set() -> Mapping[str, Mapping[str, Record]]:
    """Return the records of each section by name."""
    with open_resources() as (_, catalog):
        return {section: {str(vars(r)["name"]): r for r in found} for section, found in sections(catalog).items()}


def sections(catalog: "Reading") -> Mapping[str, Iterable[Record]]:
    """Return the records of each section."""
    return {
        "image_storages": catalog.image_storages(),
        "primary_storages": catalog.primary_storages(),
        "accounts": catalog.accounts(),
        "families": catalog.families(),
        "watches": catalog.watches(),
        "webhooks": catalog.webhooks(),
    }
