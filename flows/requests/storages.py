"""Image storages, primary storages and volumes."""

from typing import Any, Literal

from pydantic import ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from catalog.records import PrimaryKind, State, StorageKind
from flows.requests.form import ChangingRequest, at, plain_options

CLEAR = "What goes back to its default: an input left empty leaves its field as it is."
BANDWIDTH = (
    "Cap on all that comes into this storage together (adds, syncs, moves, whatever worker runs them), bytes per "
    "second, at least 65536; default: none. Register the storage again to change it: what runs already follows."
)
ImageStorageClearable = Literal[
    "credentials", "endpoint", "sync_network", "capacity_bytes", "reserve_bytes", "bandwidth_bytes_s"
]


FILLED = ("kind", "url", "reserve_bytes")
"""Fields that no storage is without."""


def _nothing_prefilled(schema: dict[str, Any]) -> None:
    """Leave every input empty at first: a default that a form sends would replace what the storage has."""
    plain_options(schema)
    for name in FILLED:
        schema.get("properties", {}).get(name, {}).pop("default", None)


NOT_OF_THE_RECORD = ("account", "plan_only", "clear")


class RegisterStorage(ChangingRequest):
    """Register a storage, or change one that is registered: what is not given stays as it is there."""

    model_config = ConfigDict(json_schema_extra=_nothing_prefilled)

    name: str = Field(**at(0, "Name", "Name of the storage; the rules of image names apply."))

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
        return {
            name: getattr(self, name) for name in type(self).model_fields if name not in NOT_OF_THE_RECORD
        }


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
            "file:///dir, s3://bucket/prefix, or rbd://pool?conf=/etc/ceph/ceph.conf; a new storage needs one.",
        ),
    )
    credentials: str | None = Field(
        None, **at(3, "Credentials", "Name of a Prefect Secret block, or env:NAME; never the secret itself.")
    )
    endpoint: str | None = Field(None, **at(4, "Endpoint", "URL of an S3 server that isn't Amazon's."))
    sync_network: str | None = Field(
        None, **at(5, "Sync network", "CIDR; synchronisation leaves from an address in it.")
    )
    capacity_bytes: int | None = Field(
        None, **at(6, "Capacity", "Bytes this storage may use; default: the medium's size.", gt=0)
    )
    reserve_bytes: int = Field(
        1 << 30, **at(7, "Reserve", "Bytes always left free; of a new one: 1 GiB.", ge=0)
    )
    bandwidth_bytes_s: int | None = Field(None, **at(8, "Bandwidth", BANDWIDTH, ge=1 << 16))
    clear: tuple[ImageStorageClearable, ...] = Field((), **at(9, "Clear", CLEAR))


class SetImageStorageState(ChangingRequest):
    """Enable or disable an image storage."""

    name: str = Field(**at(0, "Name", "Name of the storage."))
    state: State = Field(**at(1, "State", "A disabled storage takes no new images."))


class AdoptStorage(ChangingRequest):
    """Rebuild the catalog's image rows from what an image storage says about itself."""

    image_storage: str = Field(**at(0, "Image Storage", "Name of the storage to adopt from."))


class RegisterPrimaryStorage(RegisterStorage):
    """Register a primary storage, where VMs and volumes live, or change one: what is left empty stays as it is."""

    kind: PrimaryKind = Field(
        "local", **at(1, "Kind", "local (a directory) or ceph (RBD); a new one: local.")
    )
    url: str | None = Field(
        None, **at(2, "URL", "file:///dir or rbd://pool?conf=/etc/ceph/ceph.conf; a new storage needs one.")
    )
    credentials: str | None = Field(
        None, **at(3, "Credentials", "Name of a Prefect Secret block, or env:NAME.")
    )
    clear: tuple[Literal["credentials"], ...] = Field((), **at(4, "Clear", CLEAR))


class CreateVolume(ChangingRequest):
    """Create a volume or VM disk from an image: downloaded once, cached, then an overlay or a clone."""

    image_id: str = Field(**at(0, "Image", "Id of the image."))
    primary_storage: str = Field("default", **at(1, "Primary Storage", "Where the volume lives."))
    name: str = Field(**at(2, "Name", "Name of the volume."))
    size_bytes: int | None = Field(
        None, **at(3, "Size", "Bytes, at least the image's virtual size, which is the default.", gt=0)
    )


class DeleteVolume(ChangingRequest):
    """Delete a volume."""

    volume_id: str = Field(**at(0, "Volume", "Id of the volume."))


class CleanImageCache(ChangingRequest):
    """Drop cached images that no volume uses, least recently used first."""

    primary_storage: str = Field("default", **at(0, "Primary Storage", "Whose cache to clean."))
    budget_bytes: int | None = Field(
        None, **at(1, "Budget", "Bytes the cache may keep; default: drop only what is gone.", ge=0)
    )
