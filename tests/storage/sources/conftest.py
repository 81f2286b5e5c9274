"""What the tests of sources share: settings that permit loopback, a misbehaving server."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from catalog.settings import Settings
from tests.services.faulty_http import FaultyHttp, faulty_http


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.model_validate(
        {
            "allowed_networks": ("127.0.0.0/8", "::1/128"),
            "file_roots": (tmp_path,),
            "home": tmp_path / "home",
            "read_timeout_s": 1.0,
            "connect_timeout_s": 2.0,
            "min_pace_bytes_s": 10_000,
        }
    )


@pytest.fixture
def with_(settings: Settings) -> Callable[..., Settings]:
    def changed(**values: object) -> Settings:
        return settings.model_copy(update=values)

    return changed


@pytest.fixture
def server() -> Iterator[FaultyHttp]:
    with faulty_http() as running:
        yield running
