"""What runs on schedule."""

from pydantic import Field

from catalog.units import LONGEST_S
from flows.registry import Cron, operation
from flows.requests.form import ChangingRequest, UpkeepRequest, at


@operation(
    "flows.upkeep.check_quality",
    rights="admin",
    single=True,
    schedule=(Cron("30 5 * * *", "nightly"), Cron("0 2 * * 0", "weekly-rescan", {"rescan": True})),
    lock="the image's, to disable it",
    left="nothing",
    bytes_at="each host",
)
class CheckQuality(UpkeepRequest):
    """Check the whole catalog's data quality."""

    rescan: bool = Field(
        False,
        **at(
            0,
            "Rescan",
            "Inspect stored images again with the present rules and disable what no longer passes.",
        ),
    )


@operation(
    "flows.upkeep.retry_deferred",
    rights="anybody",
    single=True,
    schedule=Cron("*/5 * * * *", "every-five-minutes"),
    lock="the image's",
    left="the work stays",
    queue="recovery",
    bytes_at="each host",
)
class RetryDeferred(UpkeepRequest):
    """Try again what could not be done before, such as deleting data on a storage that was disconnected."""

    storage: str | None = Field(None, **at(0, "Storage", "Only work that waits for this storage."))
    force: bool = Field(False, **at(1, "At once", "Also what would be tried again only later."))


@operation(
    "flows.upkeep.recover_runs",
    rights="admin",
    single=True,
    schedule=Cron("* * * * *", "every-minute"),
    grace_s=60,  # a recovery that is killed itself must not keep the next ones out for the usual five minutes
    lock="the image's, each by itself",
    left="what was not recovered yet, for the next one",
    queue="recovery",
    bytes_at="none",
)
class RecoverRuns(ChangingRequest):
    """Find runs whose worker died and start them again, at most three times; end what can't go on."""

    stale_after_s: float = Field(
        95,
        **at(0, "Stale after", "Seconds without a heartbeat, of which a run sends one every 30 s.", ge=0, le=LONGEST_S),
    )
