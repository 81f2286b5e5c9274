"""Set and delete webhooks."""

from catalog.records import Plan, Webhook
from flows.operation import flow_of
from flows.requests import DeleteWebhook, SetWebhook
from tasks.webhooks import configure as tasks


@flow_of(SetWebhook)
def set_webhook(request: SetWebhook) -> Webhook | Plan:
    """Create a webhook or change it. Idempotent. Raises InvalidRequest."""
    asked = (request.name, request.url, request.secret, request.events)
    if request.plan_only:
        return tasks.plan_webhook(*asked, request.account)
    return tasks.set_webhook(*asked, request.state, request.account)


@flow_of(DeleteWebhook)
def delete_webhook(request: DeleteWebhook) -> Webhook | Plan:
    """Delete a webhook. Raises WebhookNotFound."""
    asked = (request.name, request.account)
    return tasks.plan_deletion(*asked) if request.plan_only else tasks.delete_webhook(*asked)
