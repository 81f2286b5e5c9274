"""Whatever a form, a page's address or a header of the console is filled with is answered by a sentence, never by a fault."""

import json
import random
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings
from pydantic import ValidationError
from starlette.testclient import TestClient

from catalog.errors import ImagewrightError
from catalog.settings import load_settings
from console.app import create_app
from console.pages.tabs import TABS
from console.security import OURS
from flows.add.draft import draft_image
from flows.registry import OPERATIONS
from flows.requests import AddSystemImage, AddVolumeImage
from flows.requests.sentences import sentence
from tests.console.tus import TUS
from tests.services.mangled import mangled

TEXTS = (
    "", " ", "\0", "\x1b[31m", "\ud800", "é", "镜像", "\u202e", "-1", "1e400", "9" * 5000, "null", "../../etc/passwd", "{secret:X}", "sums:",
    "sums:http://", "sha256:", "sha256:" + "0" * 64, "http://[", "http://h:99999999/", "file:///", "upload://x", "s3://b/k?endpoint=\\",
    "'; DROP TABLE images; --", "<script>", "2026-13-45T99:99:99Z", "0" * 36, str(uuid4()), "%", "%zz", "env:", "{", "[", "a" * 100_000,
)  # fmt: skip
VALUES: tuple[object, ...] = (
    None,
    True,
    False,
    0,
    -1,
    2**63,
    2**200,
    1e308,
    float("nan"),
    float("inf"),
    [],
    {},
    [[]],
    [None],
    {"": {}},
    [["x"] * 50],
)
HEADERS = (
    "Upload-Length",
    "Upload-Offset",
    "Upload-Metadata",
    "Content-Type",
    "Tus-Resumable",
    "Range",
    "Host",
)
SAMPLE, MANY = 40, 3_000
counts = pytest.mark.parametrize(
    "count", [SAMPLE, pytest.param(MANY, marks=[pytest.mark.long, pytest.mark.timeout(1800)])]
)


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    monkeypatch.setenv("IMAGEWRIGHT_HOME", str(tmp_path))
    nobody = temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"})
    app = create_app(load_settings())
    with nobody, TestClient(app, base_url="http://127.0.0.1:4201", headers={OURS: "1"}) as client:
        yield client


def filled(flow: str, chance: random.Random) -> dict[str, object]:
    """Return the fields of a flow's request, some missing, some of another kind, some that there are not."""
    names = [*OPERATIONS[flow].request.model_fields, chance.choice(TEXTS[:12])]
    return {name: chance.choice((*TEXTS, *VALUES)) for name in names if chance.random() < 0.7}


@counts
@pytest.mark.parametrize("flow", OPERATIONS)
def test_any_request_is_read_or_refused_in_a_sentence(flow: str, count: int) -> None:
    chance, model = random.Random(flow), OPERATIONS[flow].request
    for _ in range(count):
        given = filled(flow, chance)
        try:
            request = model.model_validate(given)
        except ValidationError as error:
            told = sentence(error)
            assert told
            assert "\n" not in told
            continue
        request.model_dump(mode="json")
        if isinstance(request, AddSystemImage | AddVolumeImage):
            with suppress(ImagewrightError):
                draft_image(request, str(uuid4()), datetime.now(UTC))


@counts
def test_any_body_sent_to_a_flow_is_answered(client: TestClient, count: int) -> None:
    chance = random.Random("bodies")
    for _ in range(count):
        flow = chance.choice([*OPERATIONS, "no_such_flow"])
        whole = json.dumps(filled(flow, chance) if flow in OPERATIONS else {}).encode()
        body = (
            mangled(whole, chance)
            if chance.random() < 0.7
            else chance.choice((b"", b"[" * 30_000, b"\xff", b"null", b"1"))
        )
        began = time.monotonic()
        answer = client.post(f"/api/flows/{flow}", content=body)
        assert answer.status_code in (202, 404, 422, 503), answer.text
        assert answer.json()["error"]
        assert time.monotonic() - began < 30


@counts
def test_any_address_of_a_page_is_answered(client: TestClient, count: int) -> None:
    chance = random.Random("addresses")
    texts = [text for text in TEXTS if len(text) < 10_000 and text.isprintable()]
    for _ in range(count):
        query = {
            name: chance.choice(texts)
            for name in ("tab", "page", "sort", "q", "status", "given", "storage")
            if chance.random() < 0.5
        }
        if chance.random() < 0.6:
            query["tab"] = chance.choice(list(TABS))
        if chance.random() < 0.5:
            query["given"] = json.dumps(filled("edit_image", chance))[:8000]
        path = chance.choice(
            (
                "/",
                "/table",
                f"/forms/{chance.choice(list(OPERATIONS))}",
                "/images/x",
                "/api/runs/x",
                "/api/uploads/x/kept",
            )
        )
        answer = client.get(path, params=query)
        assert answer.status_code < 500, (path, query)


@counts
def test_any_header_of_an_upload_is_answered(client: TestClient, count: int) -> None:
    chance = random.Random("headers")
    for _ in range(count):
        asked = b64encode(json.dumps(filled("add_volume_image", chance)).encode()).decode()
        headers: dict[str, bytes] = {
            **{name: value.encode() for name, value in TUS.items()},
            "Upload-Length": b"10",
            "Upload-Metadata": f"flow {b64encode(b'add_volume_image').decode()},request {asked}".encode(),
        }
        for name in chance.sample(HEADERS[:-1], 2):
            value = mangled(headers.get(name, b"0"), chance)[:20_000]
            headers[name] = value.translate(None, b"\r\n\0").strip() or b"x"  # as any web server would have refused
        method, path = chance.choice((("POST", "/uploads"), ("PATCH", "/uploads/x"), ("HEAD", f"/uploads/{uuid4()}")))
        answer = client.request(method, path, headers=headers, content=b"0123456789")
        assert answer.status_code < 500, (method, path, answer.text)


def test_half_a_character_is_no_form(client: TestClient) -> None:
    answer = client.get("/forms/edit_image", params={"given": '{"name": "\\ud800"}'})
    assert (answer.status_code, "no form" in answer.json()["error"]) == (404, True)
