"""A service with each kind of person, on a home of its own."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from tests.console.api.v1.people import everybody, service


@pytest.fixture
def api(home: Path, cheap_passwords: None) -> Iterator[TestClient]:
    with service() as client:
        yield client


@pytest.fixture
def people(api: TestClient) -> Mapping[str, dict[str, str]]:
    return everybody()
