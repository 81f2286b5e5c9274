"""Prefect's own pages, in Debian's Chromium: they call no other host, also after the switch to V2 that Prefect ships."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx
import pytest

from tests.services.browser import chromium_page, sign_in
from tests.services.serving import Serving

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]
SWITCH = {"name": "prefect_ui_version", "value": "v2"}
"""What the click leaves in the browser."""
PAGES = ("/", "/v2", "/v2/dashboard", "/dashboard", "/runs", "/deployments", "/settings")


@contextmanager
def other_host() -> Iterator[tuple[str, list[str]]]:
    """Yield the address of a server that is not ours, and what it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(204)
            self.send_header("Access-Control-Allow-Origin", "*")
            self.end_headers()

        do_POST = do_GET

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()


SEND = """async (url) => {
  const tries = [() => fetch(url + "/fetch", {mode: "no-cors"}), () => navigator.sendBeacon(url + "/beacon", "x")];
  for (const one of tries) try { await one(); } catch (error) { /* refused */ }
  for (const tag of ["img", "script"]) await new Promise((done) => {
    const element = document.createElement(tag);
    element.onload = element.onerror = done;
    element.src = url + "/" + tag;
    document.head.append(element);
  });
}"""


def test_v2_is_not_there_after_the_click_and_no_page_calls_another_host(served: Serving) -> None:
    with chromium_page(900) as page, other_host() as (url, asked):
        called: list[str] = []
        page.on("request", lambda request: called.append(request.url))
        sign_in(page, served.url, served.auth)
        page.context.add_cookies([{**SWITCH, "url": served.url}])  # type: ignore[typeddict-item]
        for path in PAGES:
            page.goto(f"{served.url}{path}")
            page.wait_for_timeout(700)
            assert not switches(page), path
            page.evaluate(SEND, url)
        allowed = urlsplit(served.url).netloc
        assert not [one for one in called if "/v2/assets" in one]
        assert {urlsplit(one).netloc for one in called if one.startswith(("http", "ws"))} <= {
            allowed,
            urlsplit(url).netloc,
        }
        assert asked == []


def switches(page: "Page") -> list[str]:
    """Return what a person could click to come to V2."""
    texts = page.locator("a, button").all_inner_texts()
    return [text for text in texts if "new ui" in text.lower() or "v2" in text.lower()]


def test_the_server_has_no_second_version(served: Serving) -> None:
    told = httpx.get(f"{served.url}/ui-settings").json()
    assert told["available_uis"] == ["v1"]
    page = {
        "Accept": "text/html",
        "Sec-Fetch-Mode": "navigate",
        "Cookie": f"{SWITCH['name']}={SWITCH['value']}",
    }
    for path in PAGES:
        answer = httpx.get(f"{served.url}{path}", headers=page, follow_redirects=True)
        assert answer.status_code == 200
        assert "/v2/" not in answer.text
