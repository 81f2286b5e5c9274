"""Enable or disable an image storage."""

from prefect import flow

from catalog.records import ImageStorage, Plan
from flows.naming import named
from flows.requests import SetImageStorageState
from tasks.storage_state import plan_storage_state, set_storage_state


@flow(name="set-image-storage-state", flow_run_name=named("set {name} {state}"))
def set_image_storage_state(request: SetImageStorageState) -> ImageStorage | Plan:
    """Enable or disable an image storage. Idempotent. Raises StorageNotFound, InvalidRequest."""
    asked = (request.name, request.state, request.account)
    return plan_storage_state(*asked) if request.plan_only else set_storage_state(*asked)
