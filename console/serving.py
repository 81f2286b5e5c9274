"""Run the console's server."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from starlette.types import ASGIApp

from catalog.settings import Settings
from flows.server.environment import log_config

if TYPE_CHECKING:
    import uvicorn

MOST_CONNECTIONS = 1000
"""Past this many connections, a new one is told at once to try again."""
UPLOADS = ("/uploads/", "/api/v1/uploads/")
STREAMS = ("/live",)
PATIENCE: Mapping[str, float] = {"IMAGEWRIGHT_CONNECT_TIMEOUT_S": 5, "IMAGEWRIGHT_READ_TIMEOUT_S": 10, "IMAGEWRIGHT_RETRIES": 0}  # fmt: skip
"""Timeouts of the console's own process for sources and storages: a person waits, and it transfers nothing."""


def be_impatient() -> None:
    """Shorten this process's timeouts; shorter settings of the user stay."""
    for name, most in PATIENCE.items():
        given = os.environ.get(name, "")
        try:
            shorter = float(given) < most
        except ValueError:  # not set, or invalid, which the settings report
            shorter = False
        if not shorter:
            os.environ[name] = str(most)


def run(app: ASGIApp, host: str, port: int, settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM."""
    import uvicorn

    uvicorn.Server(config(app, host, port, settings)).run()


def config(app: ASGIApp, host: str, port: int, settings: Settings) -> "uvicorn.Config":
    """Return uvicorn's configuration, with https if the settings name a certificate."""
    import uvicorn

    from flows.server.slow_clients import Watched

    return uvicorn.Config(
        app,
        host=host,
        port=port,
        log_level="warning",
        server_header=False,
        http=Watched.with_patience(settings.console_patience_s, UPLOADS, STREAMS),
        ws="none",
        limit_concurrency=MOST_CONNECTIONS,
        proxy_headers=False,  # the settings name the trusted proxies: uvicorn would trust any client on loopback
        ssl_certfile=settings.tls_certificate,
        ssl_keyfile=settings.tls_key,
        log_config=log_config(settings),
    )
