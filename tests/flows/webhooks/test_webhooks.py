"""Webhooks through Prefect: told, told again, refused where a source may not live, and ended."""

import base64
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from standardwebhooks import Webhook as Verifier

import flows
from catalog import open_catalog
from catalog.errors import InvalidRequest, WebhookNotFound
from catalog.records import CleanupReport, Delivery, Plan, Webhook
from flows.requests import DeleteWebhook, DeliverWebhooks, SetWebhook
from tests.flows.managed import delete_one, placed
from tests.services.listener import Listener, listening
from tests.services.process import free_port

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("home")]
SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()


@pytest.fixture(autouse=True)
def named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK_SECRET", SECRET)


def told(name: str, url: str, *events: str) -> Webhook:
    request = SetWebhook(name=name, url=url, secret="env:HOOK_SECRET", events=events or ("imagewright.image.*",))
    made = flows.set_webhook(request)
    assert isinstance(made, Webhook)
    return made


def delivered() -> CleanupReport:
    report = flows.deliver_webhooks(DeliverWebhooks())
    assert isinstance(report, CleanupReport)
    return report


def kept(name: str) -> list[Delivery]:
    with open_catalog() as catalog:
        return list(catalog.deliveries(name))


def make_due(name: str) -> None:
    """Let the pause of everything that waits be over."""
    with open_catalog() as catalog, catalog.changing(actor="system") as change:
        for delivery in tuple(change.deliveries(name, status="Pending")):
            change.save_delivery(delivery.model_copy(update={"due_at": datetime(2026, 1, 1, tzinfo=UTC)}))


def opened_by(listener: Listener) -> list[dict[str, object]]:
    return [Verifier(SECRET).verify(body, headers) for headers, body in listener.got]


def test_events_from_now_on_are_told_once_signed_and_in_order() -> None:
    placed()
    with listening() as listener:
        told("hook", listener.url)
        image = placed()
        delete_one(image)
        plan = flows.deliver_webhooks(DeliverWebhooks(plan_only=True))
        assert isinstance(plan, Plan)
        assert "2 events to be told" in plan.summary
        assert [item.outcome for item in delivered().items] == ["done", "done"]
        assert delivered().items == ()
        messages = opened_by(listener)
    assert [message["type"] for message in messages] == ["imagewright.image.ready", "imagewright.image.deleted"]
    data = messages[0]["data"]
    assert isinstance(data, dict)
    assert (data["image_id"], data["subject"], data["after"]["name"]) == (image.id, f"image:{image.id}", "data")
    assert [(one.status, one.response) for one in kept("hook")] == [("Delivered", 204)] * 2


def test_what_fails_is_told_again_under_the_same_id_and_holds_up_no_other_webhook() -> None:
    with listening() as broken, listening() as well:
        broken.answers = [503, 204]
        told("a broken one", broken.url)
        told("well", well.url)
        placed()
        assert [item.outcome for item in delivered().items] == ["pending", "done"]
        (waiting,) = kept("a broken one")
        assert (waiting.status, waiting.attempts, waiting.response) == ("Pending", 1, 503)
        assert waiting.reason == "it answered 503"
        assert delivered().items == ()  # its pause is not over
        make_due("a broken one")
        assert [item.outcome for item in delivered().items] == ["done"]
        first, second = (headers["webhook-id"] for headers, _ in broken.got)
    assert first == second == waiting.id


def test_a_dead_address_is_asked_once_a_run() -> None:
    told("dead", f"http://127.0.0.1:{free_port()}/")
    for _ in range(3):
        placed()
    assert [item.outcome for item in delivered().items] == ["pending"]
    assert "cannot connect" in kept("dead")[0].reason
    assert [one.attempts for one in kept("dead")] == [1, 0, 0]


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/", "http://localhost:9/", "http://169.254.169.254/latest/"])
def test_where_no_source_may_live_nothing_is_told(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGEWRIGHT_ALLOWED_NETWORKS", "")
    told("inside", url)
    placed()
    assert [item.outcome for item in delivered().items] == ["pending"]
    assert "IMAGEWRIGHT_ALLOWED_NETWORKS" in kept("inside")[0].reason


def test_a_redirect_is_not_followed() -> None:
    with listening() as elsewhere, listening() as listener:
        listener.answers, listener.headers = [307], {"Location": elsewhere.url}
        told("moved", listener.url)
        placed()
        assert [item.outcome for item in delivered().items] == ["pending"]
        assert (len(listener.got), elsewhere.got) == (1, [])


def test_an_address_that_is_gone_is_told_nothing_more() -> None:
    with listening() as listener:
        listener.answers = [410]
        told("gone", listener.url)
        placed()
        delivered()
        placed()
        assert delivered().items == ()
        assert len(listener.got) == 1
    with open_catalog() as catalog:
        assert catalog.webhook("gone").state == "Disabled"


def test_the_secret_is_looked_up_never_kept(home: Path) -> None:
    told("hook", "https://hooks.example/x")
    with open_catalog() as catalog:
        text = "".join(event.model_dump_json() for event in catalog.events())
    assert "env:HOOK_SECRET" in text
    assert SECRET not in text


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"url": "ftp://x.example/"}, "only http:// and https://"),
        ({"url": "https://me:pw@x.example/"}, "no user or password"),
        ({"secret": "env:NOT_SET"}, "a variable that is set"),
        ({"secret": "env:PATH"}, "what this secret holds"),
        ({"events": ("image.ready",)}, "names of events"),
        ({"account": "bob"}, "admin"),
    ],
)
def test_what_can_be_no_webhook_is_refused(wrong: dict[str, object], said: str) -> None:
    given = {"name": "hook", "url": "https://x.example/", "secret": "env:HOOK_SECRET", **wrong}
    for plan_only in (True, False):
        with pytest.raises(InvalidRequest, match=said):
            flows.set_webhook(SetWebhook.model_validate({**given, "plan_only": plan_only}))


def test_a_deleted_one_is_gone_with_what_it_was_not_told() -> None:
    told("hook", f"http://127.0.0.1:{free_port()}/")
    placed()
    delivered()
    plan = flows.delete_webhook(DeleteWebhook(name="hook", plan_only=True))
    assert isinstance(plan, Plan)
    assert "1 events that it was not told yet" in plan.summary
    flows.delete_webhook(DeleteWebhook(name="hook"))
    assert kept("hook") == []
    with pytest.raises(WebhookNotFound):
        flows.deliver_webhooks(DeliverWebhooks(names=("hook",)))


def test_of_a_large_event_only_is_told_which_it_is() -> None:
    with listening() as listener:
        told("hook", listener.url)
        placed(description="x" * 2000, warnings=tuple("y" * 1000 for _ in range(30)))
        delivered()
        ((_, body),) = listener.got
    data = json.loads(body)["data"]
    assert (len(body) < 20 << 10, data["after"], data["subject"].startswith("image:")) == (True, None, True)
