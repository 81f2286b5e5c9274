"""One service for the tests of a module, and a client of it."""

from collections.abc import Iterator

import pytest

from flows.client import Client, patience
from tests.services.service import Service, service


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with service(tmp_path_factory.mktemp("service")) as running:
        yield running


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait no longer between tries than a test takes, whatever a service asks for."""
    monkeypatch.setattr(patience, "LONGEST_S", 0.05)


@pytest.fixture
def root(served: Service) -> Iterator[Client]:
    with Client(served.url, served.tokens["root"]) as client:
        yield client


@pytest.fixture
def user(served: Service) -> Iterator[Client]:
    with Client(served.url, served.tokens["user"]) as client:
        yield client
