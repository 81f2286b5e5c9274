"""The client of a remote service, for the `imagewright` command and for programs: `from flows.client import Client`.

Nothing here imports Prefect, a database or a storage. `Client` is loaded on first use: commands on this host only ask
here whether a service is named.
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
