"""Every operation on an image is a flow: `from flows import add_system_image`.

The names are loaded on first use: importing Prefect takes seconds, and reading the catalog needs none of it.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prefect import Flow

FLOWS = {
    "add_system_image": "add_image",
    "add_volume_image": "add_image",
    "export_image": "export_image",
    "register_image_storage": "register_storage",
}
"""Every flow and the module it lives in: adding a flow adds one row here."""

__all__ = ["FLOWS", *FLOWS]  # noqa: PLE0604  # the rows above are the names


def __getattr__(name: str) -> "Flow[..., object]":
    if name not in FLOWS:
        raise AttributeError(f"module 'flows' has no attribute {name!r}")
    from catalog.settings import load_settings
    from flows.environment import prepare

    prepare(load_settings())
    flow: Flow[..., object] = getattr(import_module(f"flows.{FLOWS[name]}"), name)
    return flow
