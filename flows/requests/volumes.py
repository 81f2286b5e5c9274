"""Requests about volumes and cached images."""

from pydantic import Field

from catalog.units import EIB
from flows.registry import Cron, operation
from flows.requests.form import ChangingRequest, Id, PatientRequest, at


@operation(
    "flows.volumes.volume",
    rights="whoever sees the image",
    run="create volume {name}",
    transition="create volume",
    lock="`cache:<image>@<primary>`: requests at once share one download",
    left="a hidden file that the next download sweeps",
    bytes_at="primary storage and a replica",
)
class CreateVolume(PatientRequest):
    """Create a volume or VM disk from an image: downloaded once, cached, then an overlay or a clone."""

    image_id: Id = Field(**at(0, "Image", "Id of the image."))
    primary_storage: str = Field("default", **at(1, "Primary Storage", "Where the volume lives."))
    name: str = Field(**at(2, "Name", "Name of the volume."))
    size_bytes: int | None = Field(
        None, **at(3, "Size", "Bytes, at least the image's virtual size, which is the default.", gt=0, le=EIB)
    )


@operation(
    "flows.volumes.volume",
    rights="owner, admin",
    run="delete volume {volume_id}",
    buttons=("volume",),
    irreversible=True,
    left="the volume without its file, which is deleted again",
    bytes_at="volume",
)
class DeleteVolume(ChangingRequest):
    """Delete a volume."""

    volume_id: Id = Field(**at(0, "Volume", "Id of the volume."))


@operation(
    "flows.volumes.cache",
    rights="anybody",
    run="clean the cache of {primary_storage}",
    single=True,
    schedule=Cron("30 3 * * *", "nightly"),
    buttons=("primary storage",),
    lock="`cache:<image>@<primary>`; a copy being used is kept",
    left="nothing",
    bytes_at="primary storage",
)
class CleanImageCache(ChangingRequest):
    """Drop cached images that no volume uses, least recently used first."""

    primary_storage: str = Field("default", **at(0, "Primary Storage", "Whose cache to clean."))
    budget_bytes: int | None = Field(
        None, **at(1, "Budget", "Bytes the cache may keep; default: drop only what is gone.", ge=0, le=EIB)
    )
