"""Register an image storage."""

from prefect import flow

from catalog.records import ImageStorage, Plan
from flows.naming import named
from flows.requests import RegisterImageStorage
from tasks.register_storage import plan_registration, register_storage


@flow(name="register-image-storage", flow_run_name=named("register {name}"))
def register_image_storage(request: RegisterImageStorage) -> ImageStorage | Plan:
    """Register an image storage after proving that it answers and accepts us. Registering the same again is a no-op.

    Raises InvalidRequest, StorageUnavailable, StorageRefused.
    """
    fields = request.model_dump(exclude={"account", "plan_only"})
    if request.plan_only:
        return plan_registration(fields)
    return register_storage(fields, request.account)
