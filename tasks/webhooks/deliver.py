"""Deliver events to webhooks from the log, with retries. Each event is delivered at least once, always under one id."""

import json
import time
from itertools import islice
from typing import TYPE_CHECKING

from catalog.errors import ImagewrightError
from catalog.log import events
from catalog.records import Delivery, Event, ItemOutcome, Webhook
from catalog.rules.upkeep.webhooks import (
    GONE,
    delivered,
    is_due,
    is_old,
    is_told,
    keys_of,
    made_out,
    put_off,
    signatures,
)
from storage.sources.http.post import post
from tasks.runtime.resources import changing, open_resources, secret
from tasks.runtime.retries import once, retrying
from tasks.runtime.task import run_logger, task

if TYPE_CHECKING:
    from catalog.repository.catalog import Catalog
    from catalog.settings import Settings

MOST_ENTRIES, MOST_SENT = 1000, 500
"""Most entries of the log and deliveries per run; the next run continues."""
ANSWER_S, RUN_S = 15.0, 30.0
"""Timeouts of an answer, and of one webhook within a run."""
LARGEST = 20 << 10
"""Most bytes of a body; a larger event is sent without `before` and `after`."""


@task(task_run_name="choose webhooks", **retrying())
def choose_webhooks(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of the given webhooks, or of all, that are enabled. Raises WebhookNotFound."""
    with open_resources() as (_, catalog):
        asked = [catalog.webhook(name) for name in dict.fromkeys(names)] if names else catalog.webhooks()
        return tuple(webhook.name for webhook in asked if webhook.state == "Enabled")


@task(task_run_name="waiting for {name}", **retrying())
def waiting_for(name: str) -> int:
    """Return the number of events that are due for a webhook. Changes nothing."""
    with open_resources() as (_, catalog):
        webhook, now = catalog.webhook(name), catalog.now()
        new = islice(catalog.events(since=catalog.webhook_position(name)), MOST_ENTRIES)
        due = sum(is_due(delivery, now) for delivery in catalog.deliveries(name, status="Pending"))
        return due + sum(is_told(webhook, event.kind) for event in new)


@task(task_run_name="deliver to {name}", **once("what fails is tried again by the next run, after a pause that grows"))
def deliver(name: str) -> tuple[ItemOutcome, ...]:
    """Create deliveries for new entries of the log, and send those that are due, oldest event first.

    After a failed attempt the others wait for the next run: an address that does not answer is asked once per run.
    """
    with open_resources() as (settings, catalog):
        webhook = catalog.webhook(name)
        _make_out(catalog, webhook)
        outcomes, until = list[ItemOutcome](), time.monotonic() + RUN_S
        for delivery in islice(_due(catalog, name), MOST_SENT):
            outcomes.append(_send(catalog, settings, webhook, delivery))
            if outcomes[-1].outcome != "done" or time.monotonic() > until:
                break
        _forget_old(catalog, name)
    failed = [outcome.reason for outcome in outcomes if outcome.outcome != "done"]
    run_logger().info("%s: %s told%s", name, len(outcomes) - len(failed), f"; {failed[0]}" if failed else "")
    return tuple(outcomes)


def _make_out(catalog: "Catalog", webhook: Webhook) -> None:
    """Turn entries of the log into deliveries, and advance the webhook's position past them, in one transaction."""
    since = catalog.webhook_position(webhook.name)
    new = tuple(islice(catalog.events(since=since), MOST_ENTRIES))
    if not new:
        return
    with changing(catalog, "system") as change:
        if change.webhook_position(webhook.name) != since:
            return  # another run advanced it
        now = change.now()
        for event in new:
            if is_told(webhook, event.kind):
                change.save_delivery(made_out(webhook, event, now))
        change.move_webhook(webhook.name, new[-1].sequence)


def _due(catalog: "Catalog", name: str) -> tuple[Delivery, ...]:
    now = catalog.now()
    return tuple(delivery for delivery in catalog.deliveries(name, status="Pending") if is_due(delivery, now))


def _send(catalog: "Catalog", settings: "Settings", webhook: Webhook, delivery: Delivery) -> ItemOutcome:
    response, reason, wanted_s = None, "", None
    try:
        answer = post(webhook.url, *_signed(catalog, webhook, delivery), settings, ANSWER_S)
        response, wanted_s = answer.status, answer.retry_after_s
        reason = "" if 200 <= response < 300 else f"it answered {response}"
    except ImagewrightError as error:
        reason = str(error)
    with changing(catalog, "system") as change:
        now = change.now()
        after = (
            put_off(delivery, response, reason, now, wanted_s) if reason else delivered(delivery, response or 0, now)
        )
        change.save_delivery(after)
        if response == GONE:  # it asks for no more events
            change.save_webhook(webhook.model_copy(update={"state": "Disabled"}), events.WEBHOOK_GONE)
    outcome = "done" if not reason else "failed" if after.status == "Failed" else "pending"
    return ItemOutcome(subject=f"{webhook.name}@{delivery.sequence}", outcome=outcome, reason=reason)


def _signed(catalog: "Catalog", webhook: Webhook, delivery: Delivery) -> tuple[bytes, dict[str, str]]:
    """Return body and headers of an event's request. Raises InvalidRequest for an invalid secret."""
    event = catalog.entry(delivery.sequence)
    body, timestamp = body_of(event), int(time.time())
    headers = {
        "Content-Type": "application/json",
        "webhook-id": delivery.id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signatures(keys_of(secret(webhook.secret)), delivery.id, timestamp, body),
    }
    return body, headers


def body_of(event: Event) -> bytes:
    """Return the body for an event: `type`, `timestamp` and `data`, the entry of the log."""
    entry = event.model_dump(mode="json", exclude={"hash", "previous_hash", "note", "kind", "at"})
    for data in (entry, {**entry, "before": None, "after": None}):
        body = json.dumps(
            {"type": event.kind, "timestamp": event.at.isoformat(), "data": data}, ensure_ascii=False
        ).encode()
        if len(body) <= LARGEST:
            break
    return body


def _forget_old(catalog: "Catalog", name: str) -> None:
    now = catalog.now()
    old = tuple(found for found in islice(catalog.deliveries(name), MOST_SENT) if is_old(found, now))
    if old:
        with changing(catalog, "system") as change:
            for delivery in old:
                change.remove_delivery(delivery)
