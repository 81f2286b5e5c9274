"""Webhooks: selection of events, retries of deliveries, and signatures of requests (Standard Webhooks 1.0)."""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from uuid import UUID, uuid5

from catalog.errors import InvalidRequest
from catalog.records import Delivery, Event, Webhook

PAUSES = tuple(
    timedelta(seconds=seconds) for seconds in (5, 60, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
)
"""Waits after the first failure, the second, …: three days in all, after which a delivery has finally failed."""
KEPT = timedelta(days=30)
"""How long the outcome of a delivery is kept."""
GONE = 410
"""HTTP status of an address that wants no more events."""
PREFIX, SIGNED = "whsec_", "v1"
SHORTEST, LONGEST = 24, 64
PATTERN = re.compile(r"imagewright\.[a-z_.*?]+|\*")
_NAMES = UUID("9a0a2a56-6b6f-4e0e-8d61-0d9a4c3f4b1e")


def check_patterns(patterns: Sequence[str]) -> None:
    """Raise InvalidRequest for a pattern that no event can match."""
    for pattern in patterns:
        if not PATTERN.fullmatch(pattern):
            raise InvalidRequest(
                "events", pattern, "names of events such as imagewright.image.ready, `*` for any letters"
            )


def is_told(webhook: Webhook, event: str) -> bool:
    """Tell whether a webhook receives events of this name."""
    return any(fnmatchcase(event, pattern) for pattern in webhook.events)


def made_out(webhook: Webhook, event: Event, now: datetime) -> Delivery:
    """Return the delivery of an event to a webhook, due at once. Creating it again gives the same id."""
    name = f"{webhook.name}\n{webhook.created_at.isoformat()}\n{event.sequence}"
    return Delivery(
        webhook=webhook.name,
        sequence=event.sequence,
        id=f"msg_{uuid5(_NAMES, name)}",
        event=event.kind,
        due_at=now,
        created_at=now,
    )


def delivered(delivery: Delivery, response: int, now: datetime) -> Delivery:
    """Return a delivery after the address accepted it."""
    update = {
        "status": "Delivered",
        "response": response,
        "reason": "",
        "tried_at": now,
        "attempts": delivery.attempts + 1,
    }
    return delivery.model_copy(update=update)


def put_off(
    delivery: Delivery, response: int | None, reason: str, now: datetime, wanted_s: float | None = None
) -> Delivery:
    """Return a delivery after one more failed attempt. wanted_s: the wait that the address requested."""
    attempts = delivery.attempts + 1
    more = attempts <= len(PAUSES)
    pause = max(PAUSES[attempts - 1], timedelta(seconds=wanted_s or 0)) if more else timedelta()
    update = {"attempts": attempts, "tried_at": now, "response": response, "reason": reason, "due_at": now + pause}
    return delivery.model_copy(update={**update, "status": "Pending" if more else "Failed"})


def is_due(delivery: Delivery, now: datetime) -> bool:
    """Tell whether a delivery is due. The boundary counts as due."""
    return delivery.status == "Pending" and delivery.due_at <= now


def is_old(delivery: Delivery, now: datetime) -> bool:
    """Tell whether the outcome of a delivery may be removed."""
    return delivery.status != "Pending" and delivery.created_at <= now - KEPT


def keys_of(secret: str) -> tuple[bytes, ...]:
    """Return the keys in a secret's text: `whsec_` and base64 of 24 to 64 bytes; several while rotating, newest first.

    Raises InvalidRequest, whose sentence does not repeat the text.
    """
    keys = tuple(_key(word) for word in secret.split())
    if not keys:
        raise _no_key()
    return keys


def _key(word: str) -> bytes:
    try:
        key = base64.b64decode(word.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise _no_key() from None
    if not word.startswith(PREFIX) or not SHORTEST <= len(key) <= LONGEST:
        raise _no_key()
    return key


def _no_key() -> InvalidRequest:
    allowed = f"a secret whose text is `{PREFIX}` and {SHORTEST} to {LONGEST} random bytes in base64"
    return InvalidRequest("secret", "what this secret holds", allowed)


def signatures(keys: Sequence[bytes], message_id: str, timestamp: int, body: bytes) -> str:
    """Return the value of `webhook-signature`: one signature per key, over id, timestamp (seconds) and body."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    each = (hmac.new(key, signed, hashlib.sha256).digest() for key in keys)
    return " ".join(f"{SIGNED},{base64.b64encode(digest).decode()}" for digest in each)
