"""Choose the service that commands are sent to, if any."""

from typing import TYPE_CHECKING

from catalog.errors import NotSignedIn
from catalog.settings import load_settings
from flows.client.address import chosen

if TYPE_CHECKING:
    from flows.client.client import Client


def service() -> "Client | None":
    """Return a client of the service named by the environment or the saved login, None for this host's catalog.

    Raises as `flows.client.address.chosen`.
    """
    found = chosen(load_settings())
    if found is None:
        return None
    from flows.client.client import Client

    return Client(found.url, found.token)


def needed_service() -> "Client":
    """Return a client of the service. Raises NotSignedIn if none is named."""
    if found := service():
        return found
    raise NotSignedIn("no service is named; `imagewright login URL`, or set IMAGEWRIGHT_SERVER and IMAGEWRIGHT_TOKEN")
