"""One `imagewright serve` for the tests of the console that get along in one home: its start takes longer than most of them."""

from collections.abc import Iterator

import pytest
from prefect.context import SettingsContext, get_settings_context
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES

from tests.services.serving import Serving, serving


@pytest.fixture(scope="package")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """Yield a server whose sources may be on loopback; each test names what is its own."""
    with serving(tmp_path_factory.mktemp("console"), IMAGEWRIGHT_ALLOWED_NETWORKS="127.0.0.0/8") as running:
        yield running


@pytest.fixture(scope="session")
def settings_of_nobody() -> SettingsContext:
    """Return Prefect's settings with nobody where the server should be: they take longer to make than most tests."""
    now = get_settings_context()
    changed = now.settings.copy_with_update({PREFECT_API_URL: "http://127.0.0.1:9/api", PREFECT_CLIENT_MAX_RETRIES: 0})
    return SettingsContext(profile=now.profile, settings=changed)


@pytest.fixture
def nobody_serves(monkeypatch: pytest.MonkeyPatch, settings_of_nobody: SettingsContext) -> Iterator[None]:
    """Have nobody where the Prefect server should be, and be told so at once: the client would wait 1.5 s between three tries."""
    monkeypatch.setattr("httpcore._async.connection.RETRIES_BACKOFF_FACTOR", 0.0)
    with settings_of_nobody:
        yield
