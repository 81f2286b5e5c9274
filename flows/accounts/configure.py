"""Configure an account."""

from catalog.records import Account, Plan
from catalog.rules.accounts.configuring import CONFIGURED
from flows.operation import flow_of
from flows.requests import SetAccount
from tasks.accounts import configure as tasks


@flow_of(SetAccount)
def set_account(request: SetAccount) -> Account | Plan:
    """Set an account's projects, quotas and recycle bin; new uses follow the change at once. Raises InvalidRequest."""
    asked = (request.name, request.account, request.model_dump(include=set(CONFIGURED)), request.defaults)
    return tasks.plan_account(*asked) if request.plan_only else tasks.set_account(*asked)
