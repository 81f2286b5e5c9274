"""The console's server: one way to run it, whoever starts it."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from starlette.types import ASGIApp

from catalog.settings import Settings
from flows.server.environment import log_config

if TYPE_CHECKING:
    import uvicorn

MOST_CONNECTIONS = 1000
"""Whoever comes when there are so many is told at once to come again."""
UPLOADS = ("/uploads/", "/api/v1/uploads/")
STREAMS = ("/live",)
PATIENCE: Mapping[str, float] = {"IMAGEWRIGHT_CONNECT_TIMEOUT_S": 5, "IMAGEWRIGHT_READ_TIMEOUT_S": 10, "IMAGEWRIGHT_RETRIES": 0}  # fmt: skip
"""What the console's own process waits for a source or storage at most: a person waits for it. It transfers nothing."""


def be_impatient() -> None:
    """Shorten what this process waits for others; shorter settings of the user stay."""
    for name, most in PATIENCE.items():
        given = os.environ.get(name, "")
        try:
            shorter = float(given) < most
        except ValueError:  # not set; or wrong, which the settings say
            shorter = False
        if not shorter:
            os.environ[name] = str(most)


def run(app: ASGIApp, host: str, port: int, settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM."""
    import uvicorn

    uvicorn.Server(config(app, host, port, settings)).run()


def config(app: ASGIApp, host: str, port: int, settings: Settings) -> "uvicorn.Config":
    """Return how the application is served: by https where the settings name a certificate."""
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
        proxy_headers=False,  # whom to believe the settings say: uvicorn believes whoever connects from loopback
        ssl_certfile=settings.tls_certificate,
        ssl_keyfile=settings.tls_key,
        log_config=log_config(settings),
    )
