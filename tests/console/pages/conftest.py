"""The console's pages over a catalog of their own, with nobody where the Prefect server should be."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from catalog.settings import Settings, load_settings
from console.pages.pages import Pages
from tests.console.operators import as_operators


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("IMAGEWRIGHT_HOME", str(tmp_path))
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")  # nobody is there
    return load_settings()


@pytest.fixture
def client(settings: Settings, nobody_serves: None) -> Iterator[TestClient]:
    with TestClient(as_operators(Pages(settings).routes())) as client:
        yield client
