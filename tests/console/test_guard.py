"""Who may talk to the console: by which name, with which password, from which page."""

from base64 import b64encode

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from console.security import HEADERS, OURS, Guard


async def answered(_request: Request) -> Response:
    return PlainTextResponse("here")


def client(auth: str = "", hosts: tuple[str, ...] = ("127.0.0.1", "localhost", "[::1]")) -> TestClient:
    routes = [Route("/{path:path}", answered, methods=["GET", "POST", "DELETE", "PATCH", "PUT"])]
    guarded = Starlette(routes=routes, middleware=[Middleware(Guard, hosts=hosts, auth=auth)])
    return TestClient(guarded, base_url="http://127.0.0.1:4201")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:4201", "LOCALHOST:1", "[::1]:4201", "[::1]"])
def test_its_own_names(host: str) -> None:
    assert client().get("/", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.", "[::2]", "", "0"])
def test_other_names_are_misdirected(host: str) -> None:
    answer = client().get("/", headers={"Host": host})
    assert (answer.status_code, "IMAGEWRIGHT_CONSOLE_HOSTS" in answer.json()["error"]) == (421, True)


def test_any_name_where_that_is_wanted() -> None:
    assert client(hosts=("*",)).get("/", headers={"Host": "images.example"}).status_code == 200


@pytest.mark.parametrize("method", ["POST", "DELETE", "PATCH", "PUT"])
def test_forms_of_other_pages_change_nothing(method: str) -> None:
    assert client().request(method, "/x").status_code == 403
    assert client().request(method, "/x", headers={OURS: "1"}).status_code == 200


def test_the_password_is_asked_for_except_with_a_link() -> None:
    guarded = client("me:säcret:x")
    assert guarded.get("/").status_code == 401
    assert guarded.get("/").headers["WWW-Authenticate"].startswith("Basic")
    assert guarded.get("/download/token/a.raw").status_code == 200
    for given, status in {"me:säcret:x": 200, "me:säcret": 401, "": 401}.items():
        header = {"Authorization": f"Basic {b64encode(given.encode()).decode()}"}
        assert guarded.get("/", headers=header).status_code == status
    for wrong in (b"Basic !", b"Bearer x", b"Basic", "Basic ä".encode("latin-1")):
        assert guarded.get("/", headers={b"Authorization": wrong}).status_code == 401


def test_headers_are_on_every_answer() -> None:
    for answer in (client().get("/"), client().get("/", headers={"Host": "x"})):
        assert all(answer.headers[name] == value for name, value in HEADERS.items())
