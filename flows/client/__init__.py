"""The client of a service: what `imagewright` asks from afar, and what programs may: `from flows.client import Client`.

Nothing here knows Prefect, a database or a storage. `Client` is loaded when it is first asked for: commands that work on this
host look here only for whether a service is named.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flows.client.client import Client

__all__ = ["Client"]


def __getattr__(name: str) -> object:
    if name != "Client":
        raise AttributeError(f"module 'flows.client' has no attribute {name!r}")
    from flows.client.client import Client

    return Client
