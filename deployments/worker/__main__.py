"""`imagewright worker`: run a worker and a console on a further host, for a server and a catalog elsewhere."""

import argparse
import contextlib
import os
import sys
from http import HTTPStatus
from typing import NoReturn
from urllib.parse import urlsplit

from catalog import open_catalog, privacy
from catalog.errors import ImagewrightError, InvalidRequest
from catalog.privacy import make_folder
from catalog.rules.upkeep.queues import served_on
from catalog.settings import Settings, load_settings
from deployments.definitions import POOL
from deployments.processes import HOST, listens, require_free, running, until_told, wait_until, watch
from flows.command.call import ServerUnreachable
from flows.command.exits import FAILED, WRONG_USAGE
from flows.server.api import PasswordRefused
from flows.server.environment import LOOPBACK, logs_of, prepare
from flows.server.same_catalog import identity, require_same_catalog
from tasks.hosts.beat import beating


def main() -> None:
    """Run until Ctrl-C or SIGTERM; a process that dies takes the other with it and its log is named."""
    parser = argparse.ArgumentParser(prog="imagewright worker", description=main.__doc__)
    parser.add_argument("--console-port", type=int, default=4201)
    parser.add_argument("--console-host", default=HOST)
    options = parser.parse_args()
    with until_told():
        try:
            settings = load_settings()
            work(settings, checked_server(settings), options.console_host, options.console_port)
        except ImagewrightError as error:
            _fail(error)


def checked_server(settings: Settings) -> str:
    """Return the server to work for.

    Raises InvalidRequest for a missing setting, ServerUnreachable, PasswordRefused, OtherCatalog, CatalogUnavailable.
    """
    server = prepare(settings)
    if server is None:
        raise InvalidRequest("PREFECT_API_URL", "", "the address of a Prefect server, such as https://host:4200/api")
    if urlsplit(server).hostname not in LOOPBACK and settings.catalog_address.startswith("sqlite"):
        raise InvalidRequest(
            "IMAGEWRIGHT_CATALOG_URL",
            settings.catalog_url,
            "the catalog in PostgreSQL that the hosts share, such as postgresql+psycopg://user@host/catalog",
        )
    require_same_catalog(settings, os.environ)
    _require_pool(server)
    with open_catalog(settings.catalog_address, strict=True):
        return server


def _require_pool(server: str) -> None:
    """Raise if the server can't be asked or does not have our work pool."""
    import httpx
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound

    try:
        with get_client(sync_client=True) as client:
            client.read_work_pool(POOL)
    except ObjectNotFound as error:
        raise NoWorkPool(server) from error
    except httpx.HTTPStatusError as error:
        if error.response.status_code == HTTPStatus.UNAUTHORIZED:
            raise PasswordRefused(server) from error
        raise ServerUnreachable(server, f"it says {error.response.status_code}") from error
    except (httpx.HTTPError, RuntimeError) as error:  # the first request may wrap the one in the other
        raise ServerUnreachable(server, str(error.__cause__ or error) or "no answer came") from error


class NoWorkPool(ImagewrightError):
    """The Prefect server does not have what our workers serve."""

    def __init__(self, server: str) -> None:
        self.server = server
        super().__init__(
            f"the Prefect server at {server} has no work pool {POOL!r}; put it there with `python -m deployments.apply`"
        )


def work(settings: Settings, server: str, console_host: str, console_port: int) -> None:
    """Start worker and console, print what they serve, and watch them. Exits with a sentence if the port is taken."""
    require_free({"--console-port": console_port}, console_host)
    logs = settings.home / "logs"
    make_folder(logs)
    privacy.close(settings)
    environment = {**logs_of(settings), **os.environ}
    with contextlib.ExitStack() as stack:
        worker = stack.enter_context(running("worker", logs, environment, "deployments.worker.workers"))
        console = stack.enter_context(
            running("console", logs, environment, "console", "--host", console_host, "--port", str(console_port))
        )
        wait_until(lambda: listens(console_port, console_host), console, "console", logs)
        stack.enter_context(beating(settings))
        print(
            f"host           {settings.host_name}\nworks for      {server}\n"
            f"queues         {', '.join(served_on(settings.host_name))} of the work pool {POOL}\n"
            f"catalog        {identity(settings.catalog_address)}\nimages         {'https' if settings.speaks_https else 'http'}://{console_host}:{console_port}\n"
            f"logs           {logs}\nstop with Ctrl-C",
            flush=True,
        )
        watch({"worker": worker, "console": console}, logs)


def _fail(error: ImagewrightError) -> NoReturn:
    print(f"imagewright: {error}", file=sys.stderr)
    sys.exit(WRONG_USAGE if isinstance(error, InvalidRequest) else FAILED)


if __name__ == "__main__":
    main()
