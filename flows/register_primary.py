"""Register a primary storage."""

from prefect import flow

from catalog.records import Plan, PrimaryStorage
from flows.naming import named
from flows.requests import RegisterPrimaryStorage
from tasks.register_primary import plan_primary, register_primary


@flow(name="register-primary-storage", flow_run_name=named("register {name}"))
def register_primary_storage(request: RegisterPrimaryStorage) -> PrimaryStorage | Plan:
    """Register where VMs and volumes live, after proving that it answers. Registering the same again is a no-op.

    Raises InvalidRequest, StorageUnavailable, StorageRefused.
    """
    fields = request.model_dump(exclude={"account", "plan_only"})
    return plan_primary(fields) if request.plan_only else register_primary(fields, request.account)
