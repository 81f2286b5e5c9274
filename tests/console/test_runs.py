"""Starting runs: what is wrong with a request, and with the server, is said in one sentence."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from starlette.testclient import TestClient

from console import runs
from tests.console.operators import as_operators


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nobody_serves: None) -> Iterator[TestClient]:
    monkeypatch.setenv("IMAGEWRIGHT_HOME", str(tmp_path))
    with TestClient(as_operators(runs.routes())) as client:
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
    ],
)
def test_wrong_requests(client: TestClient, verb: str, flow: str, body: str, status: int, words: str) -> None:
    answer = client.post(f"/api/{verb}/{flow}", content=body)
    assert (answer.status_code, words in answer.json()["error"]) == (status, True), answer.text


@pytest.mark.parametrize("verb", ["flows", "plans"])
def test_a_request_that_is_too_large_is_refused_with_the_limit(client: TestClient, verb: str) -> None:
    answer = client.post(f"/api/{verb}/delete_image", content="[" * (runs.MAX_BODY + 1))
    assert answer.status_code == 422
    assert f"at most {runs.MAX_BODY} bytes" in answer.json()["error"]


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"image_path": "foo://x"}, "foo"), ({"image_path": "no scheme"}, "without a scheme"),
        ({"image_path": "http://h/x", "image_storages": ["nowhere"]}, "'nowhere'"),
        ({"image_path": "http://h/x", "name": " a"}, "name"),
    ],
)  # fmt: skip
def test_what_an_add_would_fail_with_at_once_is_said_in_the_form(
    client: TestClient, asked: dict[str, object], words: str
) -> None:
    body = {"name": "a", "image_format": "raw", **asked}
    answer = client.post("/api/flows/add_volume_image", json=body)
    assert (answer.status_code, words in answer.json()["error"]) == (422, True), answer.text


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
