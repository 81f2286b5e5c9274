"""Configure an account."""

from prefect import flow

from catalog.records import Account, Plan
from catalog.rules.accounts import CONFIGURED
from flows.naming import named
from flows.requests import SetAccount
from tasks import account as tasks


@flow(name="set-account", flow_run_name=named("configure account {name}"))
def set_account(request: SetAccount) -> Account | Plan:
    """Set an account's projects, quotas and recycle bin; holds for new uses at once. Raises InvalidRequest."""
    asked = (request.name, request.account, request.model_dump(include=set(CONFIGURED)), request.defaults)
    return tasks.plan_account(*asked) if request.plan_only else tasks.set_account(*asked)
