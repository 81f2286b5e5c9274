"""Configure Prefect through its environment: which server a call talks to, and its settings.

Prefect reads its environment when it is imported, so this module never imports it.
"""

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from catalog import privacy
from catalog.files import written_aside
from catalog.privacy import make_folder
from catalog.records import Record
from catalog.settings import Settings
from flows.server.password import find_password

QUIET = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_UI_V2_ENABLED": "false",  # it calls an analytics host from the browser
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",  # 20 s is less than the first migrations take
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
}
CLOSED = {
    "PREFECT_SERVER_CSRF_PROTECTION_ENABLED": "true",
    "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": "none.invalid",  # its own pages use relative paths; default `*`
    "PREFECT_UI_API_URL": "/api",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
}
"""Settings that keep other sites' pages from using the server; its host names are in `flows/server/guard.py`."""
JSON_LINES = {"PREFECT_LOGGING_HANDLERS_CONSOLE_CLASS": "tasks.runtime.runs.log_lines.JsonLines"}
"""Setting that makes Prefect, our own loggers and the libraries below them log lines of JSON."""
SCHEDULED = {
    "PREFECT_SERVER_SERVICES_SCHEDULER_MIN_SCHEDULED_TIME": "PT10M",
    "PREFECT_SERVER_SERVICES_LATE_RUNS_AFTER_SECONDS": "PT5M",
}
"""How far ahead scheduled runs are created, and when a waiting run counts as late.

By default an hour of every minutely schedule is created, which keeps SQLite's one writer busy at first; and a run is
late after 15 s, which marked each of a hundred adds, at the cost of one more write each."""
EMBEDDED = {
    f"PREFECT_SERVER_SERVICES_{service}_ENABLED": "false"
    for service in ("SCHEDULER", "LATE_RUNS", "FOREMAN", "PAUSE_EXPIRATIONS", "CANCELLATION_CLEANUP", "REPOSSESSOR",
                    "TRIGGERS", "DB_VACUUM", "CLEANUP_RECONCILER")
} | {
    "PREFECT_SERVER_CSRF_PROTECTION_ENABLED": "false"  # no page is served; a token costs each client a request
}  # fmt: skip
"""Services that a server for one call does not need; each one slows its start."""


LOOPBACK = ("127.0.0.1", "localhost", "::1")


class ServerAddress(Record):
    """Where the server of a home answers."""

    api_url: str
    pid: int
    catalog: str = ""
    """Address of its workers' catalog, without password; empty if unknown."""
    prefect: str = ""
    console: str = ""
    api: str = ""
    setup: str = ""
    """One-time link that creates the first administrator, while there is no person."""


def address_file(settings: Settings) -> Path:
    """Return the file in which `imagewright serve` writes its server's address."""
    return settings.home / "run" / "server.json"


def running_server(settings: Settings) -> str | None:
    """Return the API URL of the server that `imagewright serve` runs for this home, if it answers."""
    address = read_address(address_file(settings))
    if address is None or not _runs(settings, address.pid):
        return None
    return address.api_url if listens(address.api_url) else None


def _runs(settings: Settings, pid: int) -> bool:
    """Tell whether the process that wrote an address is alive and belongs to the home's owner.

    Otherwise another user may have taken the port since, and would be given the password.
    """
    try:
        return Path("/proc", str(pid)).stat().st_uid == settings.home.stat().st_uid
    except OSError:
        return False


def listens(url: str) -> bool:
    """Tell whether a process listens at a server's address."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((parts.hostname or "", port), timeout=1).close()
    except OSError:
        return False
    return True


def applied_file(settings: Settings) -> Path:
    """Return the file in which `deployments.apply` writes the address of the server with this home's deployments."""
    return settings.home / "run" / "applied.json"


def known_servers(settings: Settings) -> tuple[ServerAddress, ...]:
    """Return the servers whose workers' catalog this home knows, the running one first."""
    found = (read_address(address_file(settings)), read_address(applied_file(settings)))
    return tuple(one for one in found if one is not None)


def read_address(file: Path) -> ServerAddress | None:
    """Return a written server address, None if there is no readable one."""
    try:
        return ServerAddress.model_validate_json(file.read_bytes())
    except (OSError, ValueError):
        return None


def chosen_server(environment: Mapping[str, str], settings: Settings) -> str | None:
    """Return the API URL that a call talks to, None for an embedded server."""
    return environment.get("PREFECT_API_URL") or running_server(settings)


def logs_of(settings: Settings) -> Mapping[str, str]:
    """Return the environment that sets the log format of a process and its children."""
    return JSON_LINES if settings.log_format == "json" else {}


def log_config(settings: Settings) -> dict[str, Any] | None:
    """Return uvicorn's log configuration; None for JSON lines, which leaves the loggers as Prefect set them up."""
    from uvicorn.config import LOGGING_CONFIG

    return None if settings.log_format == "json" else LOGGING_CONFIG


def prepare(settings: Settings) -> str | None:
    """Set the process's environment for Prefect; return the server's API URL, or None for an embedded one.

    The user's own settings stay. Must run before Prefect is imported.
    """
    privacy.close(settings)
    for name, value in {**QUIET, **logs_of(settings)}.items():
        os.environ.setdefault(name, value)
    server = chosen_server(os.environ, settings)
    if server:
        os.environ["PREFECT_API_URL"] = server
        if same_server(server, running_server(settings)):
            find_password(settings, os.environ)
    else:
        for name, value in EMBEDDED.items():
            os.environ.setdefault(name, value)
    return server


def same_server(one: str, other: str | None) -> bool:
    """Tell whether two API URLs name the same server: loopback has several names."""
    return other is not None and _place(one) == _place(other)


def _place(url: str) -> tuple[str, int | None]:
    parts = urlsplit(url)
    name = parts.hostname or ""
    return "127.0.0.1" if name in LOOPBACK else name, parts.port


def write_address(file: Path, address: ServerAddress) -> None:
    """Write a server's address, atomically."""
    make_folder(file.parent)
    with written_aside(file, durable=False) as text:  # a power cut would end the server as well
        text.write(address.model_dump_json().encode())
