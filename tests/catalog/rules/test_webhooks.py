"""What a webhook is told, when it is told again, and that others can check the signature."""

import base64
import json
import time
from datetime import timedelta

import pytest
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError

from catalog.errors import InvalidRequest
from catalog.records import Delivery, Webhook
from catalog.rules.upkeep.webhooks import (
    KEPT,
    PAUSES,
    check_patterns,
    delivered,
    is_due,
    is_old,
    is_told,
    keys_of,
    put_off,
    signatures,
)
from tests.catalog.samples import START

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
OTHER = "whsec_" + base64.b64encode(bytes(24)).decode()
NEW = Delivery(webhook="h", sequence=1, id="msg_1", event="e", due_at=START, created_at=START)


def headers(body: bytes, secret: str = SECRET) -> dict[str, str]:
    now = int(time.time())
    given = signatures(keys_of(secret), "msg_1", now, body)
    return {"webhook-id": "msg_1", "webhook-timestamp": str(now), "webhook-signature": given}


def test_the_published_library_accepts_the_signature_and_no_other_body() -> None:
    body = json.dumps({"type": "imagewright.image.ready"}).encode()
    assert Verifier(SECRET).verify(body, headers(body)) == json.loads(body)
    with pytest.raises(WebhookVerificationError):
        Verifier(SECRET).verify(body + b" ", headers(body))
    with pytest.raises(WebhookVerificationError):
        Verifier(OTHER).verify(body, headers(body))


def test_while_secrets_are_exchanged_both_are_accepted() -> None:
    both = headers(b"{}", f"{OTHER} {SECRET}")
    assert Verifier(SECRET).verify(b"{}", both) == Verifier(OTHER).verify(b"{}", both) == {}


@pytest.mark.parametrize(
    "text", ["", "password", SECRET.removeprefix("whsec_"), "whsec_", "whsec_AAAA", "whsec_!!!!", f"{SECRET} x"]
)
def test_a_secret_that_is_none_is_refused_without_saying_it(text: str) -> None:
    with pytest.raises(InvalidRequest, match="what this secret holds") as refused:
        keys_of(text)
    assert text in ("", "whsec_") or text not in str(refused.value)


@pytest.mark.parametrize(
    ("pattern", "event", "told"),
    [
        ("imagewright.image.*", "imagewright.image.ready", True),
        ("imagewright.image.*", "imagewright.replica.damaged", False),
        ("*", "imagewright.replica.damaged", True),
        ("imagewright.*.damaged", "imagewright.replica.damaged", True),
        ("imagewright.image.ready", "imagewright.image.ready_", False),
    ],
)
def test_patterns(pattern: str, event: str, told: bool) -> None:
    check_patterns((pattern,))
    webhook = Webhook(name="h", url="https://x/", secret="env:X", events=(pattern,), created_at=START)
    assert is_told(webhook, event) is told


@pytest.mark.parametrize("pattern", ["", "image.ready", "imagewright.Image.*", "[a-z]*", "prefect.*"])
def test_patterns_that_nothing_matches_are_refused(pattern: str) -> None:
    with pytest.raises(InvalidRequest, match="names of events"):
        check_patterns((pattern,))


def test_pauses_grow_and_end_after_three_days() -> None:
    delivery, moment, waited = NEW, START, []
    while delivery.status == "Pending":
        assert is_due(delivery, moment)
        delivery = put_off(delivery, 500, "it answered 500", moment)
        waited.append(delivery.due_at - moment)
        moment = delivery.due_at
    assert tuple(waited[:-1]) == PAUSES == tuple(sorted(PAUSES))
    assert (delivery.status, delivery.attempts) == ("Failed", len(PAUSES) + 1)
    assert timedelta(days=2) < moment - START < timedelta(days=4)


def test_an_address_that_wants_to_be_left_alone_is() -> None:
    later = put_off(NEW, 429, "it answered 429", START, wanted_s=900)
    assert later.due_at == START + timedelta(seconds=900)
    assert not is_due(later, later.due_at - timedelta(seconds=1))


def test_what_became_of_it_is_kept_for_thirty_days() -> None:
    done = delivered(NEW, 204, START)
    assert (done.status, done.response, done.attempts) == ("Delivered", 204, 1)
    assert [is_old(one, START + KEPT) for one in (NEW, done)] == [False, True]
    assert not is_old(done, START + KEPT - timedelta(seconds=1))
