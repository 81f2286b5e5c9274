"""Image storages, primary storages and volumes."""

from typing import Any, Literal

from pydantic import ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from catalog.records import PrimaryKind, State, StorageKind
from catalog.units import EIB, GIB, LONGEST_DAYS
from flows.registry import Cron, Present, operation
from flows.requests.form import ChangingRequest, UpkeepRequest, at, plain_options

CLEAR = "What goes back to its default: an input left empty leaves its field as it is."
BANDWIDTH = (
    "Cap on all that comes into this storage together (adds, syncs, moves, whatever worker runs them), bytes per "
    "second, at least 65536; default: none. Register the storage again to change it: what runs already follows."
)
SHARED = (
    "A directory that all hosts see, such as one on NFS: it is used on another host only where a token that is left in it "
    "is found there. Otherwise a directory belongs to the host that registers it."
)
RECIPES = (
    "Compressed qcow2 files, and gzipped files in disks, may be kept as their contents and how to compress them again, where "
    "that gives the same bytes: much smaller beside others like them, and slower to export, 20 MB/s a core. Of a new one: no. ImageStores only."
)
HOST = (
    "Whose directory it is, where several hosts work on one catalog: it is registered there. Empty: the host that does it, "
    "or whose it is already. Give it to let a directory follow its disk to another machine."
)
ImageStorageClearable = Literal[
    "credentials", "endpoint", "sync_network", "capacity_bytes", "reserve_bytes", "bandwidth_bytes_s"
]


FILLED = ("kind", "url", "reserve_bytes", "shared", "host", "recipes")
"""Fields that no storage is without."""


def _nothing_prefilled(schema: dict[str, Any]) -> None:
    """Leave every input empty at first: a default that a form sends would replace what the storage has."""
    plain_options(schema)
    for name in FILLED:
        schema.get("properties", {}).get(name, {}).pop("default", None)


KEPT = ("name", "kind", "url")
"""Of a storage that is registered again: what never changes."""
NOT_OF_THE_RECORD = ("account", "plan_only", "clear")


class RegisterStorage(ChangingRequest):
    """Register a storage, or change one that is registered: what is not given stays as it is there."""

    model_config = ConfigDict(json_schema_extra=_nothing_prefilled)

    name: str = Field(**at(0, "Name", "Name of the storage; the rules of image names apply."))
    shared: bool | None = Field(None, **at(20, "Shared", SHARED))
    host: str | None = Field(None, **at(21, "Host", HOST))

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, given: Any) -> Any:
        """Take null for not given where it can't be a value; elsewhere it empties the field."""
        if not isinstance(given, dict):
            return given
        return {name: value for name, value in given.items() if not (name in FILLED and value in (None, ""))}

    @model_serializer(mode="wrap")
    def _only_given(self, serialize: SerializerFunctionWrapHandler) -> dict[str, object]:
        """Send a request on as it was given: a default written out would count as given where it arrives."""
        return {name: value for name, value in serialize(self).items() if name in self.model_fields_set}

    def fields(self) -> dict[str, object]:
        """Return the fields of the storage's record, defaults filled in."""
        given = {name: getattr(self, name) for name in type(self).model_fields if name not in NOT_OF_THE_RECORD}
        return {**given, "shared": bool(given["shared"])}


@operation(
    "flows.storages.register",
    rights="admin",
    run="register {name}",
    buttons=("image storage", "storages"),
    present=Present("image storage", fixed=KEPT),
    bytes_at="own storage",
)
class RegisterImageStorage(RegisterStorage):
    """Register an image storage, or change one that is registered: what is left empty stays as it is."""

    kind: StorageKind = Field(
        "imagestore",
        **at(1, "Kind", "imagestore (chips, in a directory or S3) or ceph (RBD); a new one: imagestore."),
    )
    url: str | None = Field(
        None,
        **at(
            2,
            "URL",
            "file:///dir, s3://bucket/prefix, https://host/storages/NAME of another Imagewright, or "
            "rbd://pool?conf=/etc/ceph/ceph.conf; a new storage needs one.",
        ),
    )
    credentials: str | None = Field(
        None, **at(3, "Credentials", "Name of a Prefect Secret block, or env:NAME; never the secret itself.")
    )
    endpoint: str | None = Field(None, **at(4, "Endpoint", "URL of an S3 server other than Amazon's."))
    sync_network: str | None = Field(
        None, **at(5, "Sync network", "CIDR; synchronisation leaves from an address in it.")
    )
    capacity_bytes: int | None = Field(
        None, **at(6, "Capacity", "Bytes this storage may use; default: the medium's size.", gt=0, le=EIB)
    )
    reserve_bytes: int = Field(GIB, **at(7, "Reserve", "Bytes always left free; of a new one: 1 GiB.", ge=0, le=EIB))
    bandwidth_bytes_s: int | None = Field(None, **at(8, "Bandwidth", BANDWIDTH, ge=1 << 16, le=EIB))
    recipes: bool = Field(False, **at(9, "Recipes", RECIPES))
    clear: tuple[ImageStorageClearable, ...] = Field((), **at(10, "Clear", CLEAR))


@operation(
    "flows.storages.state",
    rights="admin",
    run="set {name} {state}",
    buttons=("image storage",),
    present=Present("image storage", fixed=("name",)),
    bytes_at="own storage",
)
class SetImageStorageState(ChangingRequest):
    """Enable or disable an image storage."""

    name: str = Field(**at(0, "Name", "Name of the storage.", names="image_storage"))
    state: State = Field(**at(1, "State", "A disabled storage takes no new images."))


@operation(
    "flows.storages.adopt",
    rights="admin",
    run="adopt {image_storage}",
    buttons=("image storage",),
    lock="none: 100 images a transaction",
    left="what was adopted; run again it goes on",
    bytes_at="named storages",
)
class AdoptStorage(ChangingRequest):
    """Rebuild the catalog's image records from the descriptions on an image storage."""

    image_storage: str = Field(**at(0, "Image Storage", "Name of the storage to adopt from."))


@operation(
    "flows.storages.register",
    rights="admin",
    run="register {name}",
    buttons=("primary storage", "primary"),
    present=Present("primary storage", fixed=KEPT),
    bytes_at="own storage",
)
class RegisterPrimaryStorage(RegisterStorage):
    """Register a primary storage, where VMs and volumes live, or change one: what is left empty stays as it is."""

    kind: PrimaryKind = Field("local", **at(1, "Kind", "local (a directory) or ceph (RBD); a new one: local."))
    url: str | None = Field(
        None, **at(2, "URL", "file:///dir or rbd://pool?conf=/etc/ceph/ceph.conf; a new storage needs one.")
    )
    credentials: str | None = Field(None, **at(3, "Credentials", "Name of a Prefect Secret block, or env:NAME."))
    clear: tuple[Literal["credentials"], ...] = Field((), **at(4, "Clear", CLEAR))


@operation(
    "flows.storages.reclaim",
    rights="admin",
    single=True,
    schedule=Cron("30 4 * * *", "nightly"),
    buttons=("image storage",),
    lock="none: epochs, see `storage/imagestore`; on Ceph what a writer has open is left alone",
    left="an epoch that the next reclaim finishes",
    bytes_at="each host",
)
class ReclaimSpace(UpkeepRequest):
    """Delete stored data that no image, recycle bin or landing needs."""

    image_storages: tuple[str, ...] = Field((), **at(0, "Image Storages", "Names; empty: all."))


@operation(
    "flows.storages.compact",
    rights="admin",
    single=True,
    schedule=Cron("0 2 * * *", "nightly", {"budget_bytes": 256 * GIB}),
    buttons=("image storage",),
    lock="the storage's compaction, an image's while its form changes; adds, reads and reclaims go on beside it",
    left="packs that nobody names: deleted by the next run or by reclaim-space",
    bytes_at="each host",
)
class CompactStorage(UpkeepRequest):
    """Make images that were not written lately smaller: similar older chips lean on newer ones. Every byte reads as before."""

    image_storage: str = Field("", **at(0, "Image Storage", "Name of an image storage; empty: all."))
    older_than_days: int = Field(
        14, **at(1, "Older Than", "Days since an image was written to the storage.", ge=0, le=LONGEST_DAYS)
    )
    budget_bytes: int | None = Field(
        None, **at(2, "Budget", "Bytes of images to look at in this run; default: everything due.", gt=0, le=EIB)
    )


@operation(
    "flows.storages.reconcile",
    rights="admin",
    single=True,
    schedule=Cron("0 5 * * *", "nightly-plan"),
    defaults={"plan_only": True},
    buttons=("storages",),
    lock="the image's, each by itself",
    left="the drift that was not corrected yet",
    bytes_at="each host",
)
class ReconcileStorages(UpkeepRequest):
    """Compare catalog and storages both ways and correct the differences.

    The scheduled run only plans: read it, then run without plan only.
    """

    image_storages: tuple[str, ...] = Field((), **at(0, "Image Storages", "Names; empty: all."))
