"""Replication rules are scheduled deployments; their runs leave a dashboard."""

import asyncio

import pytest

from catalog.errors import InvalidRequest
from catalog.records import SyncOutcome, SyncReport
from deployments.replication import ReplicationRule, add_rule, remove_rule, rules
from flows.replicas.sync import dashboard

RULE = ReplicationRule(name="nightly web", source="a", target="b", cron="15 3 * * *", family="web", deletion="mirror")


@pytest.mark.prefect
def test_a_rule_is_a_scheduled_deployment_that_can_be_replaced_and_removed() -> None:
    async def life() -> list[tuple[ReplicationRule, ...]]:
        seen = []
        for rule in (RULE, RULE.model_copy(update={"cron": "0 4 * * *", "active": False})):
            assert await add_rule(rule) == "replicate-nightly web"
            seen.append(await rules())
        await remove_rule("nightly web")
        await remove_rule("nightly web")
        return [*seen, await rules()]

    first, second, third = asyncio.run(life())
    assert first == (RULE,)
    assert [(rule.cron, rule.active) for rule in second] == [("0 4 * * *", False)]
    assert third == ()


@pytest.mark.prefect
@pytest.mark.parametrize(
    ("change", "parameter"),
    [({"cron": "every night"}, "cron"), ({"target": "a"}, "target"), ({"name": ""}, "name")],
)
def test_a_rule_that_can_t_work_is_refused(change: dict[str, object], parameter: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        asyncio.run(add_rule(RULE.model_copy(update=change)))
    assert caught.value.parameter == parameter


def test_the_dashboard_says_what_is_in_sync_behind_and_saved() -> None:
    images = (
        SyncOutcome(image_id="1", outcome="synced", bytes_sent=5),
        SyncOutcome(image_id="2", outcome="already there"),
        SyncOutcome(image_id="3", outcome="failed", error="it is busy"),
        SyncOutcome(image_id="4", outcome="removed"),
    )
    report = SyncReport(source="a", target="b", images=images, bytes_sent=5, bytes_saved=95)
    text = dashboard(report)
    for line in ("| in sync | 2 |", "| failed, and so behind | 1 |", "| bytes saved: already there | 95 |",
                 "| removed by the rule, now leftovers | 1 |", "- `3`: it is busy"):  # fmt: skip
        assert line in text
