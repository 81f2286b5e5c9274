"""Every operation on an image is a flow: `from flows import add_system_image`.

The names are loaded on first use: importing Prefect takes seconds, and reading the catalog needs none of it.
"""

import sys
from importlib import import_module
from types import ModuleType

TYPE_CHECKING = False  # as of `typing`, which would take longer to load than the entry of the command has to answer Ctrl-C
if TYPE_CHECKING:
    from prefect import Flow

    from flows.add_image import add_system_image as add_system_image
    from flows.add_image import add_volume_image as add_volume_image
    from flows.adopt_storage import adopt_storage as adopt_storage
    from flows.boot_check import boot_check as boot_check
    from flows.change_storage import change_image_storage as change_image_storage
    from flows.check_quality import check_quality as check_quality
    from flows.clean_leftovers import clean_up_leftovers as clean_up_leftovers
    from flows.create_volume import create_volume as create_volume
    from flows.create_volume import delete_volume as delete_volume
    from flows.delete_image import delete_image as delete_image
    from flows.delete_image import recover_image as recover_image
    from flows.edit_image import edit_image as edit_image
    from flows.enable_image import disable_image as disable_image
    from flows.enable_image import enable_image as enable_image
    from flows.export_image import delete_exported_image as delete_exported_image
    from flows.export_image import export_image as export_image
    from flows.expunge_image import expunge_image as expunge_image
    from flows.expunge_image import purge_recycle_bin as purge_recycle_bin
    from flows.image_cache import clean_image_cache as clean_image_cache
    from flows.reclaim_space import reclaim_space as reclaim_space
    from flows.reconcile_storages import reconcile_storages as reconcile_storages
    from flows.recover_runs import recover_runs as recover_runs
    from flows.register_primary import register_primary_storage as register_primary_storage
    from flows.register_storage import register_image_storage as register_image_storage
    from flows.retry_deferred import retry_deferred as retry_deferred
    from flows.set_account import set_account as set_account
    from flows.share_image import set_sharing_mode as set_sharing_mode
    from flows.storage_state import set_image_storage_state as set_image_storage_state
    from flows.sync_images import sync_images as sync_images
    from flows.verify_replicas import verify_replicas as verify_replicas

FLOWS = {
    "add_system_image": "add_image",
    "add_volume_image": "add_image",
    "edit_image": "edit_image",
    "enable_image": "enable_image",
    "disable_image": "enable_image",
    "export_image": "export_image",
    "delete_exported_image": "export_image",
    "set_sharing_mode": "share_image",
    "delete_image": "delete_image",
    "recover_image": "delete_image",
    "expunge_image": "expunge_image",
    "purge_recycle_bin": "expunge_image",
    "retry_deferred": "retry_deferred",
    "set_image_storage_state": "storage_state",
    "adopt_storage": "adopt_storage",
    "set_account": "set_account",
    "create_volume": "create_volume",
    "delete_volume": "create_volume",
    "clean_image_cache": "image_cache",
    "register_image_storage": "register_storage",
    "register_primary_storage": "register_primary",
    "sync_images": "sync_images",
    "change_image_storage": "change_storage",
    "clean_up_leftovers": "clean_leftovers",
    "reclaim_space": "reclaim_space",
    "verify_replicas": "verify_replicas",
    "reconcile_storages": "reconcile_storages",
    "check_quality": "check_quality",
    "recover_runs": "recover_runs",
    "boot_check": "boot_check",
}
"""Every flow and the module it lives in: adding a flow adds one row here and one import above, for type checkers."""

__all__ = ["FLOWS", *FLOWS]  # noqa: PLE0604  # the rows above are the names


def __getattr__(name: str) -> "Flow[..., object]":
    if name not in FLOWS:
        raise AttributeError(f"module 'flows' has no attribute {name!r}")
    from catalog.settings import load_settings
    from flows.environment import prepare

    prepare(load_settings())
    flow: Flow[..., object] = getattr(import_module(f"flows.{FLOWS[name]}"), name)
    return flow


class _Flows(ModuleType):
    """A file may be called as its flow is: the name stays the flow's when Python notes the imported file under it."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (isinstance(value, ModuleType) and name in FLOWS):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Flows
