"""Select the images of a sync, and find what its target lacks: one listing of manifests, no query per image."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from catalog.errors import ImageNotFound, ImagewrightError, InvalidRequest, NothingMatches
from catalog.records import Image, ImageStatus, Record, Replica, ReplicaStatus, SyncOutcome
from catalog.rules.accounts.sharing import require_owner
from catalog.rules.images.transitions import status_after
from catalog.settings import Settings
from storage.replicas.sync import Pair, syncing
from storage.replicas.sync_network import source_address
from tasks.replicas.readable import whole_replicas
from tasks.runtime.resources import open_image_storage, open_resources
from tasks.runtime.retries import retrying
from tasks.runtime.task import task

if TYPE_CHECKING:
    from catalog.repository.catalog import Catalog

BATCH_IMAGES = 100
BATCH_BYTES = 4 << 30  # of files: what a batch has to read again after a failure


class Selection(Record):
    """Which images a sync selects."""

    source: str
    target: str
    account: str = "admin"
    image_ids: tuple[str, ...] = ()
    name_pattern: str = "*"
    family: str | None = None
    owner: str | None = None
    changed_since: datetime | None = None

    @property
    def asked(self) -> str:
        """The selection criteria in words."""
        asked = [f"name pattern {self.name_pattern!r} (case counts)"]
        asked += [f"{field} {value!r}" for field, value in (("family", self.family), ("owner", self.owner)) if value]
        asked += [] if self.account == "admin" else [f"owner {self.account!r}"]
        return " and ".join(asked)

    def is_older(self, image: Image) -> bool:
        """Tell whether a matching image was last changed before `changed_since`."""
        return not self.image_ids and self.changed_since is not None and image.updated_at < self.changed_since


class Backlog(Record):
    """The result of a comparison. batches: ids of images that the target lacks; outcomes: of all others."""

    batches: tuple[tuple[str, ...], ...] = ()
    outcomes: tuple[SyncOutcome, ...] = ()
    bytes_there: int = 0  # of files already on the target

    unchanged: tuple[str, ...] = ()  # ids of matching images last changed before `changed_since`

    @property
    def matching(self) -> tuple[str, ...]:
        """Ids of all selected images."""
        return (
            *(i for batch in self.batches for i in batch),
            *(o.image_id for o in self.outcomes),
            *self.unchanged,
        )


@task(task_run_name="compare {selection.source} and {selection.target}", **retrying())
def compare_stores(selection: Selection) -> Backlog:
    """Return what the target lacks, at the cost of one listing of its manifests and no query per image.

    An id that can't be synced is an outcome. Raises StorageNotFound, InvalidRequest, StorageRefused,
    StorageUnavailable, NothingMatches.
    """
    with open_resources() as (settings, catalog):
        source, target = open_pair(catalog, settings, selection.source, selection.target)
        source.check()
        target.check()
        listed = set(target.image_ids())
        known = {r.image_id: r for r in catalog.replicas(image_storage=selection.target) if r.image_id in listed}
        backlog = _sorted_out(_selected(catalog, selection), selection, known)
    if not backlog.matching:
        raise NothingMatches(selection.source, selection.asked)
    return backlog


def _sorted_out(
    selected: Iterable[tuple[Image, Replica] | SyncOutcome], selection: Selection, known: Mapping[str, Replica]
) -> Backlog:
    lacking, there, failed, unchanged = [], [], [], []
    for found in selected:
        if isinstance(found, SyncOutcome):
            failed.append(found)
        elif selection.is_older(found[0]):
            unchanged.append(found[0].id)
        elif _in_sync(found[1], known.get(found[0].id)):
            there.append(found[1])
        else:
            lacking.append(found[1])
    return Backlog(
        batches=tuple(batches_of(lacking)),
        outcomes=(*(SyncOutcome(image_id=r.image_id, outcome="already there") for r in there), *failed),
        bytes_there=sum(r.size_bytes for r in there),
        unchanged=tuple(unchanged),
    )


def open_pair(catalog: "Catalog", settings: Settings, source: str, target: str) -> Pair:
    """Open both ImageStores, with connections bound to the sync network if one is set.

    Raises InvalidRequest for the same storage twice or one without chips, StorageRefused if this host has no address in
    that network.
    """
    if source == target:
        raise InvalidRequest("target", target, "another ImageStore than the source")
    records = [catalog.image_storage(name) for name in (source, target)]
    opened = [
        syncing(open_image_storage(record, settings, source_address(record, other)), parameter)
        for parameter, record, other in zip(("source", "target"), records, reversed(records), strict=True)
    ]
    return opened[0], opened[1]


def batches_of(replicas: Sequence[Replica]) -> Iterator[tuple[str, ...]]:
    """Cut images into batches, bounded in number and bytes, in the same order in every run."""
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
    """Yield each selected image with its replica on the source, or the reason why it can't be synced."""
    whole = {r.image_id: r for r in whole_replicas(catalog, image_storage=selection.source)}
    if selection.image_ids:
        for image_id in dict.fromkeys(selection.image_ids):
            yield _asked_for(catalog, image_id, whole.get(image_id), selection)
        return
    matching = catalog.images(
        status=ImageStatus.READY,
        name_pattern=selection.name_pattern,
        family=selection.family,
        owner=selection.owner,
        image_storage=selection.source,
    )
    for image in matching:
        if image.id in whole and selection.account in ("admin", image.owner):
            yield image, whole[image.id]


def _asked_for(
    catalog: "Catalog", image_id: str, replica: Replica | None, selection: Selection
) -> tuple[Image, Replica] | SyncOutcome:
    try:
        image = catalog.image(image_id, account=selection.account)
        require_owner(image, catalog.viewer(selection.account), "sync")
        status_after(image, "sync")
        if replica is None:
            raise ImageNotFound(image_id, f"on image storage {selection.source!r}")
    except ImagewrightError as error:
        return SyncOutcome(image_id=image_id, outcome="failed", error=str(error))
    return image, replica


def _in_sync(replica: Replica, there: Replica | None) -> bool:
    """Tell whether the target's replica, by the catalog, is Ready and the same file."""
    if there is None or there.status is not ReplicaStatus.READY:
        return False
    return (there.size_bytes, there.sha256) == (replica.size_bytes, replica.sha256)
