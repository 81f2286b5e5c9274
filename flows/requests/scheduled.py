"""What runs on schedule."""

from typing import Literal

from pydantic import Field

from catalog.settings import LONGEST_DAYS
from flows.requests.form import ChangingRequest, at


class PurgeRecycleBin(ChangingRequest):
    """Expunge what outlived its retention."""

    retention_days: float | None = Field(
        None, **at(0, "Retention", "Days in the recycle bin; default: the setting.", ge=0, le=LONGEST_DAYS)
    )
    policy: Literal["direct", "delay", "never"] | None = Field(
        None, **at(1, "Policy", "direct: at once; delay: after the retention; never; default: the setting.")
    )


class ReclaimSpace(ChangingRequest):
    """Delete what no image, recycle bin or landing needs."""

    image_storages: tuple[str, ...] = Field((), **at(0, "Image Storages", "Names; empty: all."))


class VerifyReplicas(ChangingRequest):
    """Read and prove stored chips, oldest proof first; repair damage from other replicas."""

    image_storages: tuple[str, ...] = Field((), **at(0, "Image Storages", "Names; empty: all."))
    image_ids: tuple[str, ...] = Field((), **at(1, "Images", "Ids; empty: all."))
    budget_bytes: int | None = Field(
        None, **at(2, "Budget", "Bytes to read in this run; default: everything due.", gt=0)
    )
    bytes_per_second: int = Field(0, **at(3, "Rate", "Cap on reading, bytes per second; 0: none.", ge=0))


class ReconcileStorages(ChangingRequest):
    """Compare catalog and storages both ways and mend the differences."""

    image_storages: tuple[str, ...] = Field((), **at(0, "Image Storages", "Names; empty: all."))


class CheckQuality(ChangingRequest):
    """Check the whole catalog's data quality."""

    rescan: bool = Field(
        False,
        **at(
            0,
            "Rescan",
            "Inspect stored images again with the present rules and disable what no longer passes.",
        ),
    )


class RetryDeferred(ChangingRequest):
    """Try again what could not be done before, such as deleting bits on a storage that was disconnected."""

    storage: str | None = Field(None, **at(0, "Storage", "Only work that waits for this storage."))
    force: bool = Field(False, **at(1, "At once", "Also what would be tried again only later."))


class RecoverRuns(ChangingRequest):
    """Find runs whose worker died and start them again, at most three times; end what can't go on."""

    stale_after_s: float = Field(120, **at(0, "Stale after", "Seconds without a heartbeat.", ge=0))
