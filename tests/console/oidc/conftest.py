"""A console that people may come into by a provider."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from tests.console.api.v1.people import service
from tests.services.oidc import CLIENT_ID, OddProvider, odd_provider

Opened = Callable[[str], TestClient]
GROUPS = "staff=admin:admin,web=team:user:shop+blog,guests=team:viewer"


@pytest.fixture
def console(home: Path, cheap_passwords: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Opened]:
    """Return what opens a browser on a console that has an issuer."""
    with ExitStack() as stack:

        def opened(issuer: str) -> TestClient:
            settings = {"ISSUER": issuer, "CLIENT_ID": CLIENT_ID, "CLIENT_SECRET": "s3cret/+", "GROUPS": GROUPS}
            for name, value in settings.items():
                monkeypatch.setenv(f"IMAGEWRIGHT_OIDC_{name}", value)
            return stack.enter_context(service("192.0.2.7", follow_redirects=False))

        yield opened


@pytest.fixture
def odd() -> Iterator[OddProvider]:
    with odd_provider() as found:
        yield found
