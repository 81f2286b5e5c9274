"""Decide who sees a run: runs of other accounts are not found."""

from prefect.client.schemas.objects import FlowRun

from catalog.records import SignedIn
from catalog.rules.accounts.roles import is_limited
from catalog.rules.accounts.sharing import ADMIN
from tasks.runtime.runs.acting import Caller, of_run


def account_of(run: FlowRun) -> str:
    """Return the account that a run works for."""
    request = run.parameters.get("request")
    return str(request.get("account", ADMIN)) if isinstance(request, dict) else ADMIN


def started_by(run: FlowRun) -> Caller:
    """Return the identity that started a run."""
    return of_run(run)


def sees_run(who: SignedIn, run: FlowRun) -> bool:
    """Tell whether a caller sees a run: their account's; with a token limited to some images, only their own."""
    if is_limited(who.scope) and started_by(run).identity != who.identity.name:
        return False
    return who.identity.role == ADMIN or account_of(run) == who.identity.account
