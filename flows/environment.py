"""How Prefect is set up for us: which server a call talks to, and what it is told through its environment.

Prefect reads its environment when it is imported, so this module never imports it.
"""

import json
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from catalog.records import Record
from catalog.settings import Settings

QUIET = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_UI_V2_ENABLED": "false",  # it calls an analytics host from the browser
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",  # 20 s is less than the first migrations take
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
}
EMBEDDED = {
    f"PREFECT_SERVER_SERVICES_{service}_ENABLED": "false"
    for service in ("SCHEDULER", "LATE_RUNS", "FOREMAN", "PAUSE_EXPIRATIONS", "CANCELLATION_CLEANUP", "REPOSSESSOR",
                    "TRIGGERS", "DB_VACUUM", "CLEANUP_RECONCILER")
}  # fmt: skip
"""Services that a server for one call has no use for; each costs part of its start."""


class ServerAddress(Record):
    """Where the server of a home answers."""

    api_url: str
    pid: int


def address_file(settings: Settings) -> Path:
    """Return where `imagewright serve` leaves its server's address."""
    return settings.home / "run" / "server.json"


def running_server(settings: Settings) -> str | None:
    """Return the API URL of the server that `imagewright serve` runs for this home, if it answers."""
    try:
        address = ServerAddress.model_validate_json(address_file(settings).read_bytes())
    except (OSError, ValueError):
        return None
    parts = urlsplit(address.api_url)
    try:
        socket.create_connection((parts.hostname or "", parts.port or 80), timeout=1).close()
    except OSError:
        return None
    return address.api_url


def chosen_server(environment: Mapping[str, str], settings: Settings) -> str | None:
    """Return the API URL a call talks to, or None for an embedded server."""
    return environment.get("PREFECT_API_URL") or running_server(settings)


def prepare(settings: Settings) -> str | None:
    """Set the process's environment for Prefect; return the server's API URL, or None for an embedded one.

    What the user has set is left alone. Must run before Prefect is imported.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    server = chosen_server(os.environ, settings)
    if server:
        os.environ["PREFECT_API_URL"] = server
    else:
        for name, value in EMBEDDED.items():
            os.environ.setdefault(name, value)
    return server


def leave_address(settings: Settings, api_url: str) -> None:
    """Write down where the server of this home answers, so that commands find it."""
    file = address_file(settings)
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    aside = file.with_suffix(".new")
    aside.write_text(json.dumps({"api_url": api_url, "pid": os.getpid()}))
    aside.replace(file)
