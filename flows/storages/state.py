"""Enable or disable an image storage."""

from catalog.records import ImageStorage, Plan
from flows.operation import flow_of
from flows.requests import SetImageStorageState
from tasks.storages.state import plan_storage_state, set_storage_state


@flow_of(SetImageStorageState)
def set_image_storage_state(request: SetImageStorageState) -> ImageStorage | Plan:
    """Enable or disable an image storage. Idempotent. Raises StorageNotFound, InvalidRequest."""
    asked = (request.name, request.state, request.account)
    return plan_storage_state(*asked) if request.plan_only else set_storage_state(*asked)
