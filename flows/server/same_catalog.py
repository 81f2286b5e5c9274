"""Check that a command reads the catalog that its server's workers write.

Server and catalog are two independent settings: with one of them forgotten, a command would show another installation's
images, mostly none. So the home records which server belongs to which catalog; the check makes no request.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from catalog.errors import ImagewrightError
from catalog.settings import Settings
from flows.server.environment import (
    ServerAddress,
    applied_file,
    known_servers,
    running_server,
    same_server,
    write_address,
)


class OtherCatalog(ImagewrightError):
    """The catalog here is not the one that the server's workers write."""

    def __init__(self, server: str, here: str, theirs: str) -> None:
        self.server, self.here, self.theirs = server, here, theirs
        what = f"theirs is {theirs}" if theirs else "theirs is not known here"
        remedy = f"set IMAGEWRIGHT_CATALOG_URL to {theirs or 'theirs'}"
        super().__init__(
            f"the catalog {here} is not known to be the one that the workers of the Prefect server {server} write: "
            f"{what}; {remedy}, or leave PREFECT_API_URL out to work on this home alone"
        )


def require_same_catalog(settings: Settings, environment: Mapping[str, str]) -> None:
    """Raise OtherCatalog if the chosen server's workers write another catalog, or an unknown one.

    A catalog named by its setting is taken for theirs, unless this home knows otherwise.
    """
    asked = environment.get("PREFECT_API_URL")
    server = asked or running_server(settings)
    if server is None:
        return
    here = identity(settings.catalog_address)
    known = [one.catalog for one in known_servers(settings) if same_server(server, one.api_url)]
    if known and not {"", here} & set(known):
        raise OtherCatalog(_shown(server), here, known[0])
    if not known and not settings.catalog_url:
        raise OtherCatalog(_shown(server), here, "")


def remember_server(settings: Settings, api_url: str) -> None:
    """Record that a server has this home's deployments: its workers write the catalog that is set here."""
    address = ServerAddress(api_url=api_url, pid=os.getpid(), catalog=identity(settings.catalog_address))
    write_address(applied_file(settings), address)


def identity(address: str) -> str:
    """Return a catalog's address in a form for comparison: without password, a file's path resolved."""
    scheme, separator, path = address.partition(":///")
    if scheme.startswith("sqlite") and separator:
        return f"{scheme}:///{Path(path).resolve()}"
    return _shown(address)


def _shown(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
