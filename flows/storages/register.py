"""Register an image storage."""

from collections.abc import Callable, Collection, Mapping
from typing import TypeVar

from catalog.records import ImageStorage, Plan, PrimaryStorage
from catalog.rules.accounts.sharing import require_admin
from catalog.rules.storages.registering import kept_fields
from flows.operation import flow_of
from flows.requests import RegisterImageStorage, RegisterPrimaryStorage
from tasks.storages.register_image_storage import plan_registration, register_storage
from tasks.storages.register_primary_storage import plan_primary, register_primary

Storage = TypeVar("Storage", ImageStorage, PrimaryStorage)


@flow_of(RegisterImageStorage)
def register_image_storage(request: RegisterImageStorage) -> ImageStorage | Plan:
    """Register an image storage after proving that it answers and accepts us. Registered again, fields not given stay.

    Admin only. Raises InvalidRequest, StorageUnavailable, StorageRefused.
    """
    require_admin(request.account, "register image storages")
    return _registered(request, plan_registration, register_storage)


@flow_of(RegisterPrimaryStorage)
def register_primary_storage(request: RegisterPrimaryStorage) -> PrimaryStorage | Plan:
    """Register a primary storage after proving that it answers. Registered again, fields not given stay.

    Admin only. Raises InvalidRequest, StorageUnavailable, StorageRefused.
    """
    require_admin(request.account, "register primary storages")
    return _registered(request, plan_primary, register_primary)


def _registered(
    request: RegisterImageStorage | RegisterPrimaryStorage,
    plan: Callable[[Mapping[str, object], Collection[str]], Plan],
    register: Callable[[Mapping[str, object], str, Collection[str]], Storage],
) -> Storage | Plan:
    fields = request.fields()
    kept = kept_fields(fields, request.model_fields_set, request.clear)
    return plan(fields, kept) if request.plan_only else register(fields, request.account, kept)
