"""What a sync is about, and what its target lacks: one listing of manifests, no question per image."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from prefect import task

from catalog.errors import ImageNotFound, ImagewrightError, InvalidRequest
from catalog.records import Image, ImageStatus, Record, Replica, ReplicaStatus, SyncOutcome
from catalog.rules.sharing import require_owner
from catalog.rules.transitions import status_after
from catalog.settings import Settings
from storage.imagestore import ImageStore
from storage.sync_network import source_address
from tasks.resources import open_image_storage, open_resources
from tasks.retries import retrying

if TYPE_CHECKING:
    from catalog.repository import Catalog

BATCH_IMAGES = 100
BATCH_BYTES = 4 << 30  # of files: what a failure in the middle makes a batch look through again


class Selection(Record):
    """Which images a sync is about."""

    source: str
    target: str
    account: str = "admin"
    image_ids: tuple[str, ...] = ()
    name_pattern: str = "*"
    family: str | None = None
    owner: str | None = None
    changed_since: datetime | None = None


class Behind(Record):
    """What a sync found. batches: ids of images that the target lacks; outcomes: of all others."""

    batches: tuple[tuple[str, ...], ...] = ()
    outcomes: tuple[SyncOutcome, ...] = ()
    bytes_there: int = 0  # files of the images that are there already

    @property
    def matching(self) -> tuple[str, ...]:
        """Ids of all images that the sync is about."""
        return (*(i for batch in self.batches for i in batch), *(o.image_id for o in self.outcomes))


@task(task_run_name="compare {selection.source} and {selection.target}", **retrying())
def compare_stores(selection: Selection) -> Behind:
    """Return what the target lacks; costs one listing of its manifests and no question per image.

    Raises StorageNotFound, InvalidRequest, StorageRefused, StorageUnavailable; an id that can't be synced is an outcome.
    """
    with open_resources() as (settings, catalog):
        source, target = open_pair(catalog, settings, selection.source, selection.target)
        source.check()
        target.check()
        listed = set(target.image_ids())
        known = {r.image_id: r for r in catalog.replicas(image_storage=selection.target)}
        lacking, there, failed = [], [], []
        for found in _selected(catalog, selection):
            if isinstance(found, SyncOutcome):
                failed.append(found)
            elif found[0].id in listed and _in_sync(found[1], known.get(found[0].id)):
                there.append(found[1])
            else:
                lacking.append(found[1])
    outcomes = [SyncOutcome(image_id=r.image_id, outcome="already there") for r in there]
    return Behind(
        batches=tuple(batches_of(lacking)),
        outcomes=(*outcomes, *failed),
        bytes_there=sum(r.size_bytes for r in there),
    )


def open_pair(
    catalog: "Catalog", settings: Settings, source: str, target: str
) -> tuple[ImageStore, ImageStore]:
    """Open both ImageStores, connections bound to the sync network where one is set.

    Raises InvalidRequest for the same storage twice or one without chips, StorageRefused without an address there.
    """
    if source == target:
        raise InvalidRequest("target", target, "another ImageStore than the source")
    records = [catalog.image_storage(name) for name in (source, target)]
    opened = []
    for record, other in zip(records, reversed(records), strict=True):
        storage = open_image_storage(record, settings, source_address(record, other))
        if not isinstance(storage, ImageStore):
            raise InvalidRequest(
                "source" if record.name == source else "target", record.name,
                f"an ImageStore; {record.kind} storages hold no chips, use change_image_storage",
            )  # fmt: skip
        opened.append(storage)
    return opened[0], opened[1]


def batches_of(replicas: Sequence[Replica]) -> Iterator[tuple[str, ...]]:
    """Cut images into batches, bounded in number and bytes, in an order that is the same in every run."""
    batch: list[str] = []
    size = 0
    for replica in sorted(replicas, key=lambda r: r.image_id):
        if batch and (len(batch) == BATCH_IMAGES or size + replica.size_bytes > BATCH_BYTES):
            yield tuple(batch)
            batch, size = [], 0
        batch.append(replica.image_id)
        size += replica.size_bytes
    if batch:
        yield tuple(batch)


def _selected(catalog: "Catalog", selection: Selection) -> Iterator[tuple[Image, Replica] | SyncOutcome]:
    """Yield each image asked for with its replica on the source, or why it can't be synced."""
    whole = {r.image_id: r for r in whole_on(catalog, selection.source)}
    if selection.image_ids:
        for image_id in dict.fromkeys(selection.image_ids):
            yield _asked_for(catalog, image_id, whole.get(image_id), selection)
        return
    matching = catalog.images(
        status=ImageStatus.READY, name_pattern=selection.name_pattern, family=selection.family, owner=selection.owner,
        changed_since=selection.changed_since, image_storage=selection.source,
    )  # fmt: skip
    for image in matching:
        if image.id in whole and selection.account in ("admin", image.owner):
            yield image, whole[image.id]


def _asked_for(
    catalog: "Catalog", image_id: str, replica: Replica | None, selection: Selection
) -> tuple[Image, Replica] | SyncOutcome:
    try:
        image = catalog.image(image_id, account=selection.account)
        require_owner(image, catalog.account(selection.account), "sync")
        status_after(image, "sync")
        if replica is None:
            raise ImageNotFound(f"{image_id} on {selection.source}")
    except ImagewrightError as error:
        return SyncOutcome(image_id=image_id, outcome="failed", error=str(error))
    return image, replica


def whole_on(catalog: "Catalog", storage: str) -> Iterator[Replica]:
    """List the Ready replicas on a storage."""
    return (r for r in catalog.replicas(image_storage=storage) if r.status is ReplicaStatus.READY)


def _in_sync(replica: Replica, there: Replica | None) -> bool:
    """Tell whether the catalog's row of the target is of the same file."""
    if there is None or there.status is not ReplicaStatus.READY:
        return False
    return (there.size_bytes, there.sha256) == (replica.size_bytes, replica.sha256)
