"""Our Prefect server, closed to web pages: `create_app` for uvicorn, `python -m flows.server [--host] [--port]`."""

import argparse
import os
import zoneinfo
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from catalog.loading import loading
from catalog.privacy import OPEN, close
from catalog.settings import Settings, load_settings
from flows.server.environment import CLOSED, QUIET, SCHEDULED, log_config, logs_of
from flows.server.password import set_password

if TYPE_CHECKING:
    from starlette.types import ASGIApp


def create_app() -> "ASGIApp":
    """Return Prefect's application behind our guard, with the home's password if none is set."""
    settings = load_settings()
    close(settings)
    for name, value in {**QUIET, **CLOSED, **SCHEDULED, **logs_of(settings)}.items():
        os.environ.setdefault(name, value)
    set_password(settings, os.environ)

    with loading(for_good=True):  # these modules read the environment when imported
        import prefect
        from prefect.server.api.server import create_app as prefect_app

        from flows.server.garbage import collect_elsewhere
        from flows.server.guard import Guard
        from flows.server.turns import take_turns

    # V2 of the UI calls an analytics host, and any page may set the cookie that selects it: V2 must not be there at all.
    prefect.__ui_v2_static_path__ = Path(os.devnull, "no-v2")
    _list_zones_quickly()
    _close_database()
    take_turns()
    collect_elsewhere()
    return Guard(prefect_app(final=True), answered_names(settings), settings.server_patience_s)


def _list_zones_quickly() -> None:
    """Use only the time zones of tzdata, which lists them; otherwise Prefect walks all zone folders for each schedule."""
    if find_spec("tzdata"):
        zoneinfo.reset_tzpath(())


def _close_database() -> None:
    """Restrict database files that an older version left readable: Prefect's database has every request."""
    from prefect.settings import get_current_settings

    for file in get_current_settings().home.glob("prefect.db*"):
        with suppress(OSError):  # another user's, or gone meanwhile
            file.chmod(file.stat().st_mode & ~OPEN)


def answered_names(settings: Settings) -> tuple[str, ...]:
    """Return the host names that the server answers to: loopback's, the one given to clients, those of the settings."""
    from flows.server.guard import LOOPBACK, host_name

    configured = urlsplit(os.environ.get("PREFECT_API_URL", "")).netloc.rpartition("@")[2]
    return (*LOOPBACK, *((host_name(configured),) if configured else ()), *settings.server_hosts)


def main() -> None:
    """Serve until Ctrl-C. Clients and workers on other hosts need PREFECT_API_AUTH_STRING and PREFECT_API_URL."""
    parser = argparse.ArgumentParser(prog="python -m flows.server", description=main.__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=4200)
    options = parser.parse_args()

    import uvicorn

    from flows.server.slow_clients import Watched

    settings, app = load_settings(), create_app()
    uvicorn.run(
        app,
        host=options.host,
        port=options.port,
        log_level="warning",
        server_header=False,
        http=Watched.with_patience(settings.server_patience_s),
        log_config=log_config(settings),
    )


if __name__ == "__main__":
    main()
