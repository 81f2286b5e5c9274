"""Who is told of events."""

from collections.abc import Sequence

from catalog.errors import InvalidRequest, SourceForbidden
from catalog.log import events
from catalog.records import Plan, State, Webhook
from catalog.rules.accounts.sharing import require_admin
from catalog.rules.images.naming import check_name
from catalog.rules.storages.registering import check_no_secret
from catalog.rules.upkeep.webhooks import check_patterns, keys_of
from storage.sources.http.post import postable
from storage.sources.masking import mask
from tasks.runtime.resources import changing, open_resources
from tasks.runtime.resources import secret as secret_named
from tasks.runtime.retries import retrying
from tasks.runtime.setting import known_one, one_step
from tasks.runtime.task import task

OPERATION = "configure webhooks"


@task(task_run_name="set webhook {name}", **retrying())
def set_webhook(name: str, url: str, secret: str, told: Sequence[str], state: State, account: str) -> Webhook:
    """Save a webhook. Idempotent. Raises InvalidRequest for what can't be one, a secret that is none included."""
    _check(name, url, secret, told, account)
    with open_resources() as (_, catalog), changing(catalog, account) as change:
        known = known_one(change.webhook, name)
        created = known.created_at if known else change.now()
        after = Webhook(name=name, url=url, secret=secret, events=tuple(told), state=state, created_at=created)
        if after != known:
            change.save_webhook(after, events.WEBHOOK_SET)
    return after


@task(task_run_name="plan webhook {name}", **retrying())
def plan_webhook(name: str, url: str, secret: str, told: Sequence[str], account: str) -> Plan:
    """Check a webhook and say what it would be told. Changes nothing."""
    _check(name, url, secret, told, account)
    with open_resources() as (_, catalog):
        verb = "change" if known_one(catalog.webhook, name) else "tell"
    return one_step(OPERATION, verb, f"webhook:{name}", f"{mask(url)} is told of {', '.join(told)}")


@task(task_run_name="delete webhook {name}", **retrying())
def delete_webhook(name: str, account: str) -> Webhook:
    """Forget a webhook and what it was not told yet; return it as it was. Raises WebhookNotFound."""
    require_admin(account, OPERATION)
    with open_resources() as (_, catalog), changing(catalog, account) as change:
        known = change.webhook(name)
        change.remove_webhook(name, events.WEBHOOK_DELETED)
    return known


@task(task_run_name="plan to delete webhook {name}", **retrying())
def plan_deletion(name: str, account: str) -> Plan:
    """Say what would be dropped. Changes nothing. Raises WebhookNotFound."""
    require_admin(account, OPERATION)
    with open_resources() as (_, catalog):
        catalog.webhook(name)
        waiting = sum(1 for _ in catalog.deliveries(name, status="Pending"))
    reason = f"{waiting} events that it was not told yet are dropped"
    return one_step(OPERATION, "delete", f"webhook:{name}", reason)


def _check(name: str, url: str, secret: str, told: Sequence[str], account: str) -> None:
    require_admin(account, OPERATION)
    check_name(name)
    check_patterns(told)
    check_no_secret("url", url)
    try:
        postable(url)
    except SourceForbidden as error:
        raise InvalidRequest("url", mask(url), error.reason) from error
    keys_of(secret_named(secret))
