"""Moving images between image storages."""

from typing import Literal

from pydantic import Field

from catalog.units import EIB, TIB
from flows.registry import Cron, operation
from flows.requests.form import ZONE, Id, Moment, PatientRequest, UpkeepRequest, at


@operation(
    "flows.replicas.sync",
    rights="owner, admin",
    run="sync {source} to {target}",
    transition="sync",
    buttons=("storages",),
    lock="the images of the batch and the batch's landing",
    left="the landing `sync-…`: the same batch goes on with it; a later sync or reclaim discards it",
    bytes_at="named storages",
)
class SyncImages(PatientRequest):
    """Synchronise images from one ImageStore to another; only chips that the target lacks travel.

    Rules that do so on schedule: `python -m deployments.replication`.
    """

    source: str = Field(**at(0, "Source", "Name of the ImageStore to read from."))
    target: str = Field(**at(1, "Target", "Name of the ImageStore to bring up to date."))
    image_ids: tuple[Id, ...] = Field(
        (), **at(2, "Images", "Ids of the images; empty: all that match the name pattern.")
    )
    name_pattern: str = Field("*", **at(3, "Name pattern", "Shell pattern of image names, such as debian-*."))
    family: str | None = Field(None, **at(4, "Family", "Only images of this family."))
    owner: str | None = Field(None, **at(5, "Owner", "Only images of this account."))
    changed_since: Moment | None = Field(
        None,
        **at(
            6,
            "Changed since",
            f"Only images whose record changed at or after this moment; {ZONE}.",
        ),
    )
    bandwidth_bytes_s: int = Field(
        0, **at(7, "Bandwidth", "Cap on what is read from the source, bytes per second; 0: none.", ge=0, le=EIB)
    )
    deletion: Literal["keep", "mirror"] = Field(
        "keep",
        **at(
            8,
            "Deletion policy",
            "mirror: replicas on the target of images that the source holds and that no longer match become leftovers; "
            "protected ones stay.",
        ),
    )


@operation(
    "flows.replicas.move",
    rights="owner, admin",
    run="move {image_id} to {target}",
    transition="change image storage",
    lock="the image's",
    left="Migrating, whole on the source; run again it goes on from landing `<image>.move`; `recover_runs` or reconcile "
    "make it Ready",
    bytes_at="named storages",
)
class ChangeImageStorage(PatientRequest):
    """Move an image to another image storage; the raw data stays on the source as a leftover until cleaned up."""

    image_id: Id = Field(**at(0, "Image", "Id of the image."))
    source: str = Field(**at(1, "Source", "Image storage that holds it now."))
    target: str = Field(**at(2, "Target", "Image storage to move it to."))


@operation(
    "flows.replicas.leftovers",
    rights="owner, admin",
    single=True,
    schedule=Cron("0 6 * * 1", "weekly", {"approve": "ask"}),
    buttons=("leftover",),
    irreversible="approve=yes",
    asks=True,
    lock="the image's, each by itself",
    left="the leftover, or its row without bytes, which the next run ends",
    bytes_at="each host",
)
class CleanUpLeftovers(UpkeepRequest):
    """Clean up raw data kept on a source after a change of storage. Can't be undone."""

    image_storage: str = Field(
        "", **at(0, "Image Storage", "Storage whose leftovers are cleaned up; empty: all storages.")
    )
    leftover_ids: tuple[Id, ...] = Field((), **at(1, "Leftovers", "Ids; empty: all of that storage."))
    approve: Literal["ask", "yes"] = Field("ask", **at(2, "Approve", "ask: the run waits for a person; yes: go ahead."))


@operation(
    "flows.replicas.verify",
    rights="admin",
    single=True,
    schedule=Cron("0 1 * * *", "nightly", {"budget_bytes": TIB}),
    buttons=("image storage",),
    lock="the image's, only to make a replica anew",
    left="deferred work `verify replica`: the piece to go on with",
    bytes_at="each host",
)
class VerifyReplicas(UpkeepRequest):
    """Read and prove stored chips, oldest proof first; repair damage from other replicas."""

    image_storages: tuple[str, ...] = Field((), **at(0, "Image Storages", "Names; empty: all."))
    image_ids: tuple[Id, ...] = Field((), **at(1, "Images", "Ids; empty: all."))
    budget_bytes: int | None = Field(
        None, **at(2, "Budget", "Bytes to read in this run; default: everything due.", gt=0, le=EIB)
    )
    bytes_per_second: int = Field(0, **at(3, "Rate", "Cap on reading, bytes per second; 0: none.", ge=0, le=EIB))
