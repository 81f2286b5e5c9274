"""A console with each kind of person, asked by browsers."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from tests.console.api.v1.people import PASSWORD, everybody, service

Browser = Callable[..., TestClient]
OURS = {"X-Imagewright": "1"}


@pytest.fixture
def browser(home: Path, cheap_passwords: None, nobody_serves: None) -> Iterator[Browser]:
    """Return what opens a browser; with a name, of somebody who is signed in."""
    everybody()
    with ExitStack() as stack:

        def opened(name: str = "", host: str = "192.0.2.7", url: str = "http://127.0.0.1") -> TestClient:
            client = stack.enter_context(service(host, follow_redirects=False))
            client.base_url = url
            if name:
                answer = client.post("/login", json={"name": name, "password": PASSWORD}, headers=OURS)
                assert answer.status_code == 204, answer.text
            return client

        yield opened
