"""One `imagewright serve` for the tests that get along in one home: its start takes longer than most of them."""

import json
import stat
from collections.abc import Iterator

import httpx
import pytest

from tests.services.images import folder as built
from tests.services.serving import Serving, serving

PASSWORD = "correct horse 7"
PATIENCE_S = 2.0


@pytest.fixture(scope="package")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """Yield a server with a home of its own, which cuts slow clients off soon, and whose folder may hold sources."""
    place = tmp_path_factory.mktemp("served")
    memory = place / "memory"
    memory.mkdir()
    settings = {"IMAGEWRIGHT_FILE_ROOTS": f"{place}:{built()}", "IMAGEWRIGHT_RECEIVING": str(memory),
                "IMAGEWRIGHT_ALLOWED_NETWORKS": "127.0.0.0/8", "IMAGEWRIGHT_CONSOLE_PATIENCE_S": str(PATIENCE_S)}  # fmt: skip
    with serving(place, "first", **settings) as running:
        yield running


@pytest.fixture(scope="package")
def root(served: Serving) -> dict[str, str]:
    """Make the first administrator as a person does, and return what they are known by."""
    file = served.home / "run" / "server.json"
    said = json.loads(file.read_text())
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert said["prefect"] == served.url
    assert said["api"] == f"{said['console']}/api/v1"
    link, _, token = said["setup"].partition("#")
    page = httpx.get(link)
    assert (page.status_code, token in page.text) == (200, False)
    given = {"token": token, "name": "root", "password": PASSWORD}
    assert httpx.post(f"{said['api']}/setup", json=given, timeout=60).status_code == 201
    assert httpx.post(f"{said['api']}/setup", json=given, timeout=60).status_code == 403
    begun = httpx.post(f"{said['api']}/session", json={"name": "root", "password": PASSWORD}, timeout=60)
    return {"Authorization": f"Bearer {begun.json()['token']}"}
