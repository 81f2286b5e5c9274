"""The threat model names tests that are there, and each route of the console is behind a door that it describes."""

import re
from pathlib import Path

import pytest
from starlette.routing import Mount, Route

from catalog.settings import Settings
from console.app import create_app
from console.security import OPEN
from deployments.definitions import ROOT

PAGE = (ROOT / "docs/threat-model.md").read_text()
NAMED = sorted(set(re.findall(r"`((?:[a-z0-9_]+/)*test_[a-z_]+\.py)`", PAGE)))
OPENED = {
    "/download/{token}/{name}.md5",
    "/download/{token}/{name}",
    "/setup",
    "/login",
    "/look",
    "/login/oidc",
    "/login/oidc/callback",
}
"""Routes that ask for no sign-in: a new one has to be thought about, here and on the page."""


@pytest.mark.parametrize("name", NAMED)
def test_a_test_that_is_named_is_there(name: str) -> None:
    assert (ROOT / name).is_file()


def test_no_route_is_open_that_was_not_meant_to_be(tmp_path: Path) -> None:
    assert len(NAMED) > 15
    routes = create_app(Settings(home=tmp_path)).routes
    assert {route.path for route in routes if isinstance(route, Route) and route.path.startswith(OPEN)} == OPENED
    assert {route.path for route in routes if isinstance(route, Mount)} == {"/api/v1", "/storages", "/static"}
