"""Register a primary storage."""

from prefect import flow

from catalog.records import Plan, PrimaryStorage
from catalog.rules.administration import require_admin
from catalog.rules.registering import kept_fields
from flows.naming import named
from flows.requests import RegisterPrimaryStorage
from tasks.register_primary import plan_primary, register_primary


@flow(name="register-primary-storage", flow_run_name=named("register {name}"))
def register_primary_storage(request: RegisterPrimaryStorage) -> PrimaryStorage | Plan:
    """Register where VMs and volumes live, after proving that it answers. Registered again, what is not given stays.

    Admin only. Raises InvalidRequest, StorageUnavailable, StorageRefused.
    """
    require_admin(request.account, "register primary storages")
    fields = request.fields()
    kept = kept_fields(fields, request.model_fields_set, request.clear)
    if request.plan_only:
        return plan_primary(fields, kept)
    return register_primary(fields, request.account, kept)
