"""Configure an account."""

from collections.abc import Mapping, Sequence

from catalog.log import events
from catalog.records import Account, Action, Plan
from catalog.rules.accounts.configuring import configured
from catalog.rules.accounts.sharing import require_admin
from tasks.runtime.resources import changing, open_resources
from tasks.runtime.retries import retrying
from tasks.runtime.task import task

OPERATION = "configure accounts"


@task(task_run_name="configure account {name}", **retrying())
def set_account(name: str, account: str, asked: Mapping[str, object], defaults: Sequence[str]) -> Account:
    """Save an account's settings and return the account. Idempotent.

    Images beyond a lowered quota stay; only new adds are refused.

    account: the caller's. Raises InvalidRequest.
    """
    require_admin(account, OPERATION)
    with open_resources() as (_, catalog), changing(catalog, account) as change:
        known = change.account(name)
        after = configured(known, asked, defaults)
        if after != known:
            change.save_account(after, events.ACCOUNT_CONFIGURED)
    return after


@task(task_run_name="plan to configure account {name}", **retrying())
def plan_account(name: str, account: str, asked: Mapping[str, object], defaults: Sequence[str]) -> Plan:
    """Return which fields would change. Changes nothing."""
    require_admin(account, OPERATION)
    with open_resources() as (_, catalog):
        known, usage = catalog.account(name), catalog.usage(name)
        after = configured(known, asked, defaults)
    before, then = known.model_dump(mode="json"), after.model_dump(mode="json")
    actions = tuple(
        Action(verb="configure", subject=f"account:{name}", reason=f"{field} {before[field]!r} → {then[field]!r}")
        for field in then
        if before[field] != then[field]
    )
    used = f"{usage.images} images, {usage.size_bytes} logical bytes, {usage.stored_bytes} stored bytes"
    return Plan(operation=OPERATION, actions=actions, summary=f"{name} has {used}")
