"""Webhooks: who is told of events."""

from pydantic import Field

from catalog.records import State
from flows.registry import Cron, operation
from flows.requests.form import ChangingRequest, at


@operation("flows.webhooks.configure", rights="admin", run="set webhook {name}", bytes_at="none")
class SetWebhook(ChangingRequest):
    """Tell an address of events from now on, or change what it is told: each event by a signed request (Standard Webhooks)."""

    name: str = Field(**at(0, "Name", "Name of the webhook; the rules of image names apply."))
    url: str = Field(
        **at(1, "URL", "http:// or https://, where a source could live: see IMAGEWRIGHT_ALLOWED_NETWORKS.")
    )
    secret: str = Field(
        **at(2, "Secret", "Name of a Prefect Secret block, or env:NAME, that holds `whsec_…`; never the secret itself.")
    )
    events: tuple[str, ...] = Field(
        ("imagewright.image.*",),
        **at(3, "Events", "Names as `imagewright events` lists them; `*` stands for any letters.", min_length=1),
    )
    state: State = Field(
        "Enabled", **at(4, "State", "A disabled one is told nothing; what happens meanwhile is told later.")
    )


@operation("flows.webhooks.configure", rights="admin", run="delete webhook {name}", bytes_at="none")
class DeleteWebhook(ChangingRequest):
    """Tell an address of nothing any more; what was not delivered yet is dropped."""

    name: str = Field(**at(0, "Name", "Name of the webhook."))


@operation(
    "flows.webhooks.deliver",
    rights="admin",
    single=True,
    schedule=Cron("* * * * *", "every-minute"),
    grace_s=60,
    lock="none: an event may be told twice, by one id",
    left="what was not told yet, for the next one",
    bytes_at="none",
)
class DeliverWebhooks(ChangingRequest):
    """Tell webhooks of what has happened; what fails is tried again after growing pauses, for three days."""

    names: tuple[str, ...] = Field((), **at(0, "Webhooks", "Names; empty: all that are enabled."))
