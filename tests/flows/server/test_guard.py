"""What passes the guard before Prefect's server, and what the server for one call answers to a stranger."""

import asyncio
from collections.abc import Mapping

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from flows.server.guard import LOOPBACK, Guard


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"served"})


def status(headers: Mapping[str, str], method: str = "POST", hosts: tuple[str, ...] = LOOPBACK) -> int:
    """Return how a request with these headers is answered."""

    async def ask() -> int:
        transport = httpx.ASGITransport(Guard(application, hosts))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:4200") as client:
            return (await client.request(method, "/api/x", headers=headers)).status_code

    return asyncio.run(ask())


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "http://127.0.0.1:4200"},
        {"Origin": "http://localhost:4200"},
        {"Host": "localhost:4200", "Origin": "http://LOCALHOST:4200"},
        {"Host": "[::1]:4200", "Origin": "http://[::1]:4200"},
        {"Sec-Fetch-Site": "same-origin"},
        {"Host": "localhost"},
    ],
)
def test_our_own_pages_and_programs_pass(headers: dict[str, str]) -> None:
    assert status(headers) == 200
    assert status(headers, "GET") == 200


@pytest.mark.parametrize(
    "origin",
    ["http://localhost", "http://localhost:3000", "https://evil.example", "null", "", "file://", "http://localhost:4200.evil.example",
     "http://evil.example#localhost:4200", "http://localhost:4200@evil.example", "http://[::1", "chrome-extension://abc"],
)  # fmt: skip
def test_no_other_page_passes_not_even_to_read(origin: str) -> None:
    for method in ("GET", "POST", "OPTIONS", "DELETE"):
        assert status({"Origin": origin}, method) == 403, method


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "", "127.0.0.2", "localhost@x", "[::1", "[::1].evil.example", "@"]
)  # fmt: skip
def test_no_other_name_is_answered(host: str) -> None:
    assert status({"Host": host}, "GET") == 421


def test_a_link_from_elsewhere_opens_a_page_and_a_form_from_elsewhere_does_nothing() -> None:
    for site in ("cross-site", "same-site"):
        assert status({"Sec-Fetch-Site": site}, "GET") == 200
        assert status({"Sec-Fetch-Site": site}, "POST") == 403


def test_behind_a_proxy_that_checks_names_the_page_has_to_be_of_the_same_name() -> None:
    shown = {"Host": "images.example"}
    for hosts in (("*",), ("images.example",)):
        assert status({**shown, "Origin": "https://images.example"}, hosts=hosts) == 200
        assert status({**shown, "Origin": "https://evil.example"}, hosts=hosts) == 403
    assert status({**shown, "Origin": "http://localhost"}, hosts=("*",)) == 403


@pytest.mark.prefect
def test_the_server_for_one_call_asks_strangers_for_a_password_too(prefect_server: str) -> None:
    assert httpx.post(f"{prefect_server}/flow_runs/filter", json={}).status_code == 401
    assert httpx.get(f"{prefect_server}/health", headers={"Host": "evil.example"}).status_code == 421
    refused = httpx.post(f"{prefect_server}/variables/", json={}, headers={"Origin": "http://evil.example"})
    assert refused.status_code == 403
