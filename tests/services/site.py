"""Another Imagewright at another site: its console over TLS, with a home, a catalog and an administrator's token of its own."""

import atexit
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from uuid import uuid4

import trustme
import uvicorn

from catalog import open_catalog
from catalog.records import ImageStorage, Scope
from catalog.repository.identities import registering
from catalog.settings import Settings
from console.app import create_app
from storage.imagestore.objects.site import SiteObjects
from storage.imagestore.objects.site_connection import SiteAddress
from tests.services.process import free_port

PASSWORD = "correct horse 7"
START_S = 30.0


@dataclass(frozen=True)
class Site:
    """A running site. url: where it answers; ca: the authority of its certificate; token: of an administrator."""

    url: str
    ca: Path
    token: str
    viewer: str
    settings: Settings

    def storage(self, name: str = "") -> str:
        """Register one more image storage there; return its address."""
        name = name or f"s-{uuid4().hex}"
        folder = self.settings.home / name
        record = ImageStorage(
            name=name, kind="imagestore", url=folder.as_uri(), reserve_bytes=0, created_at=datetime.now(UTC)
        )
        with open_catalog(self.settings.catalog_address) as catalog, catalog.changing("admin") as change:
            change.save_image_storage(record)
        return f"{self.url}/storages/{name}"

    def address(self, url: str, token: str = "") -> SiteAddress:
        return SiteAddress(url=url, token=token or self.token, ca_file=str(self.ca))


@cache
def site() -> Site:
    """Start the site once a process; it ends with the process."""
    folder = Path(tempfile.mkdtemp(prefix="site-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    authority, settings = trustme.CA(), Settings(home=folder / "home", catalog_url="")
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))
    port = free_port()
    config = uvicorn.Config(
        create_app(settings), host="127.0.0.1", port=port, log_level="error", ssl_certfile=str(folder / "server.pem"),
        ssl_keyfile=str(folder / "server.pem"),
    )  # fmt: skip
    _serve(uvicorn.Server(config))
    with open_catalog(settings.catalog_address) as catalog:
        registering.add(catalog, "admin", "root", "admin", role="admin", password=PASSWORD)
        registering.add(catalog, "admin", "viewer", "team", role="viewer", password=PASSWORD)
        token, viewer = (
            registering.create_token(catalog, "admin", "root", name, Scope(), None).token for name in ("root", "viewer")
        )
    return Site(f"https://127.0.0.1:{port}", folder / "ca.pem", token, viewer, settings)


def _serve(server: uvicorn.Server) -> None:
    threading.Thread(target=server.run, daemon=True).start()
    deadline = time.monotonic() + START_S
    while not server.started:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def new_objects(_place: Path) -> Callable[[], SiteObjects]:
    """Return a function that opens the same new, empty store of the site each time."""
    there = site()
    url = there.storage()
    return lambda: SiteObjects(there.address(url))
