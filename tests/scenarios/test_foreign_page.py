"""A web page of somebody else, open in a browser on the same machine, tries to give the server of `imagewright serve` orders."""

import json
import time
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from tests.services.serving import BUSY, Serving
from tests.services.signed import basic, token

pytestmark = pytest.mark.xdist_group("browser")
EVIL = "http://evil.example"
SAFE_FLOW = "purge-recycle-bin"


def test_a_preflight_of_another_page_is_refused(served: Serving) -> None:
    for origin in (EVIL, "null", "http://localhost:3000", "http://127.0.0.1.evil.example"):
        asked = {"Origin": origin, "Access-Control-Request-Method": "POST",
                 "Access-Control-Request-Headers": "authorization,content-type"}  # fmt: skip
        answer = httpx.options(f"{served.api}/flow_runs/filter", headers=asked)
        assert answer.status_code == HTTPStatus.FORBIDDEN
        assert not [name for name in answer.headers if name.startswith("access-control-")]


def test_a_rebound_name_is_not_answered(served: Serving) -> None:
    for path in ("/api/health", "/api/version", "/", "/ui-settings"):
        for host in (
            "evil.example",
            "evil.example:4200",
            "127.0.0.1.evil.example",
            "",
            "localhost@evil.example",
        ):
            answer = httpx.get(f"{served.url}{path}", headers={"Host": host, **basic(served.auth)})
            assert answer.status_code == HTTPStatus.MISDIRECTED_REQUEST, (path, host)


def test_nobody_is_served_without_the_password(served: Serving) -> None:
    wrong: tuple[dict[str, str], ...] = (
        {},
        basic("imagewright:"),
        basic("admin:admin"),
        {"Authorization": "Bearer x"},
    )
    for headers in wrong:
        for path in ("deployments/filter", "flow_runs/filter", "variables/filter", "csrf-token?client=x"):
            method = "GET" if path.startswith("csrf") else "POST"
            answer = httpx.request(method, f"{served.api}/{path}", headers=headers, json={})
            assert answer.status_code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN), path


def test_the_password_is_for_its_user_alone(served: Serving) -> None:
    assert (served.home / "server.auth").stat().st_mode & 0o777 == 0o600
    assert len(served.auth) > 32


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_a_form_that_needs_no_preflight_changes_nothing(served: Serving, kind: str) -> None:
    """Even of a browser that had kept the password, and a browser that tells no Origin."""
    body = json.dumps({"name": f"evil-{kind[:4]}", "value": "1"})
    origins: tuple[dict[str, str], ...] = (
        {"Origin": EVIL},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {},
    )
    for origin in origins:
        headers = {"Content-Type": kind, **basic(served.auth), **origin}
        answer = httpx.post(f"{served.api}/variables/", headers=headers, content=body)
        assert answer.status_code == HTTPStatus.FORBIDDEN, origin
    assert served.ask("variables/filter", {"variables": {"name": {"like_": "evil"}}}) == []


def test_a_foreign_page_with_everything_else_right_is_refused(served: Serving) -> None:
    headers = {**basic(served.auth), **token(served.api, served.auth), "Origin": EVIL}
    answer = httpx.patch(f"{served.api}/work_pools/images", headers=headers, json={"base_job_template": {}})
    assert answer.status_code == HTTPStatus.FORBIDDEN
    assert "evil" in answer.json()["detail"]


@pytest.mark.parametrize("path", ["events/in", "events/out", "logs/out"])
def test_a_foreign_page_hears_and_says_nothing_over_websockets(served: Serving, path: str) -> None:
    url = f"{served.api}/{path}".replace("http://", "ws://")
    for origin in (EVIL, "null", "http://localhost:3000"):
        with pytest.raises(InvalidStatus), connect(url, origin=origin, subprotocols=["prefect"]):  # type: ignore[arg-type,list-item]
            pass
    with pytest.raises(InvalidStatus), connect(url, additional_headers={"Host": "evil.example"}):
        pass  # two Host headers are one too many as well


@pytest.mark.parametrize("path", ["events/in", "events/out"])
def test_websockets_ask_for_the_password(served: Serving, path: str) -> None:
    url = f"{served.api}/{path}".replace("http://", "ws://")
    for words in ({"type": "auth", "token": "wrong"}, {"type": "auth"}, {"id": "no greeting"}):
        with connect(url, subprotocols=["prefect"]) as socket:  # type: ignore[list-item]
            socket.send(json.dumps(words))
            with pytest.raises(ConnectionClosed):
                socket.recv(timeout=10)
    with connect(url, subprotocols=["prefect"]) as socket:  # type: ignore[list-item]
        socket.send(json.dumps({"type": "auth", "token": served.auth}))
        assert json.loads(socket.recv(timeout=10))["type"] == "auth_success"


def deployment(served: Serving) -> dict[str, Any]:
    found = served.ask(f"deployments/name/{SAFE_FLOW}/{SAFE_FLOW}")
    assert isinstance(found, dict)
    return found


def request(served: Serving, method: str, path: str, body: object) -> httpx.Response:
    """Ask as ourselves; a server whose database is busy is asked again."""
    headers = {**basic(served.auth), **token(served.api, served.auth)}
    for _ in range(BUSY):
        answer = httpx.request(method, f"{served.api}/{path}", headers=headers, json=body, timeout=30)
        if answer.status_code != HTTPStatus.SERVICE_UNAVAILABLE:
            break
        time.sleep(0.5)
    return answer


def choices(mark: Path) -> Iterator[dict[str, object]]:
    """What would decide how a run is started."""
    evil = f"touch {mark}"
    yield {"command": evil}
    yield {"env": {"PREFECT_LOGGING_LEVEL": "DEBUG", "PYTHONPATH": str(mark.parent)}}
    yield {"env.PYTHONPATH": str(mark.parent)}
    yield {"working_dir": str(mark.parent)}
    yield {"prefect.variables.imagewright_run_environment": {"PYTHONPATH": str(mark.parent)}}
    yield {"prefect": {"variables": {"imagewright_run_environment": {"PYTHONPATH": str(mark.parent)}}}}


def test_no_run_chooses_how_it_is_started(served: Serving, tmp_path: Path) -> None:
    for chosen in choices(tmp_path / "mark"):
        path = f"deployments/{deployment(served)['id']}/create_flow_run"
        answer = request(served, "POST", path, {"job_variables": chosen})
        assert answer.status_code == HTTPStatus.UNPROCESSABLE_ENTITY, (chosen, answer.text)


def test_what_a_deployment_says_of_how_runs_are_started_has_no_effect(served: Serving, tmp_path: Path) -> None:
    """Prefect lets a deployment be changed without comparing it with the pool, and a run be made beside the deployment."""
    mark = tmp_path / "mark"
    (tmp_path / "sitecustomize.py").write_text(f"open({str(mark)!r}, 'w')\n")
    job = {key: value for chosen in choices(mark) for key, value in chosen.items()}
    found = deployment(served)
    changed = request(served, "PATCH", f"deployments/{found['id']}", {"job_variables": job})
    assert changed.is_success
    try:
        run = {"flow_id": found["flow_id"], "deployment_id": found["id"], "work_pool_name": "images",
               "job_variables": job, "parameters": {"request": {"account": "admin"}},
               "state": {"type": "SCHEDULED"}}  # fmt: skip
        made = request(served, "POST", "flow_runs/", run).json()
        assert deployment(served)["job_variables"] == job
        ended = wait_for(served, made["id"])
        assert ended["state_type"] == "COMPLETED", ended["state"]
        assert not mark.exists()
    finally:
        request(served, "PATCH", f"deployments/{found['id']}", {"job_variables": {}})


def wait_for(served: Serving, run_id: str) -> dict[str, Any]:
    deadline = time.monotonic() + 90
    while True:
        run = served.ask(f"flow_runs/{run_id}")
        assert isinstance(run, dict)
        if run["state_type"] in ("COMPLETED", "FAILED", "CRASHED"):
            return run
        assert time.monotonic() < deadline, run["state"]
        time.sleep(0.5)
