"""Deliver events to webhooks."""

from catalog.records import Action, CleanupReport, ItemOutcome, Plan
from catalog.rules.accounts.sharing import require_admin
from flows.operation import flow_of
from flows.requests import DeliverWebhooks
from tasks.webhooks.deliver import choose_webhooks, deliver, waiting_for


@flow_of(DeliverWebhooks)
def deliver_webhooks(request: DeliverWebhooks) -> CleanupReport | Plan:
    """Deliver due events to each webhook; one that does not answer delays no other. Raises WebhookNotFound."""
    require_admin(request.account, "deliver webhooks")
    names = choose_webhooks(request.names)
    if request.plan_only:
        counts = {name: waiting_for(name) for name in names}
        actions = tuple(
            Action(verb="tell", subject=f"webhook:{n}", reason=f"{c} events") for n, c in counts.items() if c
        )
        return Plan(operation="deliver webhooks", actions=actions, summary=f"{sum(counts.values())} events to be told")
    items: list[ItemOutcome] = []
    for name in names:
        items += deliver(name)
    return CleanupReport(items=tuple(items))
