"""Starting runs: what is wrong with a request, and with the server, is said in one sentence."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings
from starlette.applications import Starlette
from starlette.testclient import TestClient

from console import runs


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    monkeypatch.setenv("IMAGEWRIGHT_HOME", str(tmp_path))
    nobody = {PREFECT_API_URL: "http://127.0.0.1:9/api", PREFECT_CLIENT_MAX_RETRIES: 0}
    with temporary_settings(nobody), TestClient(Starlette(routes=runs.routes())) as client:
        yield client


@pytest.mark.parametrize("verb", ["flows", "plans"])
@pytest.mark.parametrize(
    ("flow", "body", "status", "words"),
    [
        ("nothing", "{}", 404, "no flow 'nothing'"),
        ("requests", "{}", 404, "no flow"),
        ("delete_image", "", 422, "JSON"),
        ("delete_image", "[]", 422, "request"),
        ("delete_image", "{}", 422, "image_ids"),
        ("delete_image", '{"image_ids": []}', 422, "image_ids"),
        ("delete_image", '{"image_ids": ["a"], "force": true}', 422, "force"),
        ("set_sharing_mode", '{"image_id": "a", "mode": "everybody"}', 422, "everybody"),
        ("delete_image", "[" * (runs.MAX_BODY + 1), 422, f"at most {runs.MAX_BODY} bytes"),
    ],
)
def test_wrong_requests(client: TestClient, verb: str, flow: str, body: str, status: int, words: str) -> None:
    answer = client.post(f"/api/{verb}/{flow}", content=body)
    assert (answer.status_code, words in answer.json()["error"]) == (status, True), answer.text


def test_a_flow_without_a_plan(client: TestClient) -> None:
    answer = client.post("/api/plans/boot_check", json={"image_id": "a"})
    assert (answer.status_code, answer.json()) == (404, {"error": "boot_check has no plan"})


def test_a_server_that_does_not_answer(client: TestClient) -> None:
    started = client.post("/api/flows/delete_image", json={"image_ids": ["a"]})
    told = client.get(f"/api/runs/{uuid4()}")
    for answer in (started, told):
        assert (answer.status_code, "try again" in answer.json()["error"]) == (503, True), answer.text


def test_what_is_no_run(client: TestClient) -> None:
    assert client.get("/api/runs/x").status_code == 404
