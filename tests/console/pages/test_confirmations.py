"""What is offered, and what is asked a second time."""

import json

from starlette.testclient import TestClient

from catalog import open_catalog
from catalog.records import ImageStatus
from console.pages.actions import allowed, offered_of
from flows.registry import OPERATIONS
from tests.catalog.samples import an_image


def test_a_delete_asks_again_where_it_is_the_end(client: TestClient) -> None:
    kept, gone = an_image(status=ImageStatus.READY), an_image(status=ImageStatus.READY, owner="bob")
    arriving = an_image(status=ImageStatus.DOWNLOADING)
    with open_catalog() as catalog, catalog.changing(actor="admin") as change:
        for image in (kept, gone, arriving):
            change.save_image(image)
        change.save_account(change.account("bob").model_copy(update={"retention_policy": "direct"}))

    def asks(*ids: str) -> bool:
        given = json.dumps({"image_ids": ids})
        return 'data-confirm=""' in client.get("/forms/delete_image", params={"given": given}).text

    assert [asks(kept.id), asks(kept.id, gone.id), asks(arriving.id), asks("nothing")] == [
        False, True, True, False,
    ]  # fmt: skip


def test_what_can_not_be_undone_asks_again(client: TestClient) -> None:
    assert 'data-confirm=""' in client.get("/forms/expunge_image").text
    assert 'data-confirm="approve=yes"' in client.get("/forms/clean_up_leftovers").text
    assert "data-confirm" not in client.get("/forms/delete_image").text
    assert all("plan_only" in row.request.model_fields for row in OPERATIONS.values() if row.irreversible)


def test_only_what_the_rules_allow_is_offered() -> None:
    ready = an_image(status=ImageStatus.READY)
    offered = set(offered_of(ready))
    assert {"export_image", "delete_image", "disable_image"} <= offered
    assert not {"recover_image", "expunge_image", "enable_image"} & offered
    assert not allowed(ready.model_copy(update={"protected": True}), "delete")
    binned = an_image(status=ImageStatus.DELETED)
    assert set(offered_of(binned)) == {"recover_image", "expunge_image"}
