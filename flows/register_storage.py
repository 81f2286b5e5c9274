"""Register an image storage."""

from prefect import flow

from catalog.records import ImageStorage, Plan
from catalog.rules.administration import require_admin
from catalog.rules.registering import kept_fields
from flows.naming import named
from flows.requests import RegisterImageStorage
from tasks.register_storage import plan_registration, register_storage


@flow(name="register-image-storage", flow_run_name=named("register {name}"))
def register_image_storage(request: RegisterImageStorage) -> ImageStorage | Plan:
    """Register an image storage after proving that it answers and accepts us. Registered again, what is not given stays.

    Admin only. Raises InvalidRequest, StorageUnavailable, StorageRefused.
    """
    require_admin(request.account, "register image storages")
    fields = request.fields()
    kept = kept_fields(fields, request.model_fields_set, request.clear)
    if request.plan_only:
        return plan_registration(fields, kept)
    return register_storage(fields, request.account, kept)
