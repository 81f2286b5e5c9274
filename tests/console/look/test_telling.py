"""What flows and errors say leaves in the language of the page: values as they are, quickly whatever they hold, English byte for byte."""
# ruff: noqa: RUF001 (punctuation of Chinese)

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from catalog.errors import ImageNotFound, InvalidRequest, QuotaExceeded, StorageUnavailable
from catalog.records import Action, Plan
from catalog.settings import load_settings
from console.app import create_app
from console.look.sentences import LONGEST, VALUE, rows_of, template
from console.look.telling import InTheirLanguage, told, told_lines, told_plan
from console.security import is_api
from tests.catalog.test_sentences import SAMPLES

CHINESE = {"Accept-Language": "zh-CN,zh;q=0.9,en;q=0.5"}
TABLES = ("verb", "text", "subject", "errors", "finding", "kind", "check")
HOSTILE = (
    "debian; nothing is due", "{name}", "{0.__class__}", "a.*(b+)+$", "x: global", "</pre><script>", "%s\n- y", "delete 3 files, 5 bytes",
    "'", "7 of 7 images",
)  # fmt: skip


@pytest.mark.parametrize("table", TABLES)
def test_a_wording_says_the_values_of_its_template_and_no_others(table: str) -> None:
    for english, chinese in rows_of(table).items():
        names = [one[1] for one in VALUE.finditer(english)]
        assert len(set(names)) == len(names), english
        assert sorted(names) == sorted(re.findall(r"\{(\w+)\}", chinese)), english
        assert {one[2] for one in VALUE.finditer(english)} <= {None, "d", "one", "part", "word", "said", "list"}, (
            english
        )
        assert (
            re.search(r"[\u4e00-\u9fff]", re.sub(r"\{\w+\}", "", chinese))
            or not re.search(r"[a-z]", VALUE.sub("", english))
            or (table == "subject" or english == "configure webhooks")
        ), english


@pytest.mark.parametrize("table", TABLES)
def test_between_two_values_stands_something_fixed(table: str) -> None:
    for english in rows_of(table):
        assert "}{" not in english
        if VALUE.search(english):
            assert all(one.pattern for one in template(english, "").fixed[1:]), english


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_repeated_as_it_is(name: str) -> None:
    plan = Plan(
        operation="share",
        summary=f"make {name} on ssd from {name}",
        actions=(Action(verb="share", subject=f"image:{name}"),),
    )
    said = told_plan(plan, "zh-CN")
    assert said.summary.count(name) == 2
    assert said.actions[0].subject == f"镜像 {name}"
    assert name in told(str(InvalidRequest("name", name, "another word")), "zh-CN").replace("\\n", "\n").replace(
        '"', "'"
    )


@pytest.mark.parametrize(
    "part",
    [
        "a",
        "; ",
        "a: ; ",
        "x failed for 2 of 3: ; ",
        "not so: a; b is c; ",
        "a [r v1]; ",
        " and ",
        "{}",
        "(a+)+$",
        " on x: ",
        "7 of 7 images; ",
        "9",
        " is ",
        ", ",
    ],
)
def test_a_name_of_100_kb_is_quick_and_stays(part: str) -> None:
    name = part * (100_000 // len(part))
    texts = [f"share {name}: global", f"no image {name!r}: it does not exist", f"{name} is on {name} already", name]
    begun = time.process_time()
    for text in (*texts, *(text[:LONGEST] for text in texts)):
        assert name[:1000] in told(text, "zh-CN")
    assert time.process_time() - begun < 0.5


def test_english_is_said_as_it_is() -> None:
    plan = Plan(
        operation="delete image",
        summary="delete image: 1 of 1 images",
        actions=(Action(verb="keep", subject="image:a"),),
    )
    assert told_plan(plan, "en") is plan
    assert all(told(str(sample), "en") == str(sample) for sample in SAMPLES)


def test_what_is_not_known_stays_in_english() -> None:
    for text in ("", "something else went wrong", "x" * 3, "a; b; c"):
        assert told(text, "zh-CN") == text


def test_sentences_say_their_values_in_chinese() -> None:
    assert (
        told(str(ImageNotFound("a b")), "zh-CN")
        == "没有镜像 'a b'：不存在，或此账户无权查看；用 `imagewright images` 列出现有内容"
    )
    assert told(str(InvalidRequest("limit", -1, "0 or more")), "zh-CN") == "limit：不允许 -1；必须大于或等于 0"
    assert (
        told(str(StorageUnavailable("s3", "an oracle's words")), "zh-CN")
        == "镜像存储 's3' 不可用：an oracle's words；请稍后重试"
    )
    assert "已使用 2/3" in told(str(QuotaExceeded("team", "images", 3, 2, 4)), "zh-CN")


def test_a_plan_says_names_as_they_are_and_all_else_in_chinese() -> None:
    actions = (
        Action(
            verb="move to the recycle bin",
            subject="image debian (43b16fec…)",
            bytes=7,
            reason="it is expunged after 7.5 days",
        ),
        Action(verb="refuse", subject="image:b", reason=str(ImageNotFound("b"))),
    )
    said = told_plan(Plan(operation="delete image", summary="delete image: 1 of 2 images", actions=actions), "zh-CN")
    assert said.summary == "删除镜像：2 个镜像中的 1 个"
    assert [(a.verb, a.subject, a.bytes, a.reason) for a in said.actions] == [
        ("移入回收站", "镜像 debian（43b16fec…）", 7, "7.5 天后彻底删除"),
        ("拒绝", "镜像 b", 0, told(str(ImageNotFound("b")), "zh-CN")),
    ]
    assert said.operation == "delete image"


def test_what_a_run_asks_is_said_line_by_line() -> None:
    text = "Delete 1 leftovers for good?\n\n- image debian (43b16fec…): /a on s3, 7 bytes; it moved to far"
    asked = "彻底删除 1 项残留数据？\n\n- 镜像 debian (43b16fec…)：s3 上的 /a，7 字节；已迁移到 far"
    assert told_lines(text, "zh-CN") == asked
    assert told_lines(text, "en") == text


async def _refuses(request: Request) -> Response:
    body = {"error": "no such run", "more": request.url.path}
    return PlainTextResponse("no such run", 404) if request.url.path == "/plain" else JSONResponse(body, 404)


@pytest.fixture
def refusing() -> Iterator[TestClient]:
    """Yield a client of an application that refuses everything."""
    app = Starlette(routes=[Route("/{path:path}", _refuses)], middleware=[Middleware(InTheirLanguage, apart=is_api)])
    with TestClient(app) as client:
        yield client


def test_errors_are_said_to_pages_in_their_language(refusing: TestClient) -> None:
    chinese = refusing.get("/api/runs/x", headers=CHINESE)
    assert chinese.json() == {"error": "没有此运行", "more": "/api/runs/x"}
    assert int(chinese.headers["Content-Length"]) == len(chinese.content)
    chosen = refusing.get("/api/runs/x", headers={**CHINESE, "Cookie": "imagewright-language=en"})
    for english in (
        chosen,
        refusing.get("/api/runs/x"),
        refusing.get("/api/runs/x", headers={"Accept-Language": "de"}),
    ):
        assert english.content == b'{"error":"no such run","more":"/api/runs/x"}'


@pytest.mark.parametrize("path", ["/api/v1/runs/x", "/storages/x", "/f/x", "/plain"])
def test_programs_and_what_is_no_json_are_told_in_english(refusing: TestClient, path: str) -> None:
    assert "no such run" in refusing.get(path, headers=CHINESE).text


def test_the_console_itself_and_its_api(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, nobody_serves: None) -> None:
    monkeypatch.setenv("IMAGEWRIGHT_HOME", str(tmp_path))
    app = create_app(load_settings())
    with TestClient(app, base_url="http://127.0.0.1", headers=CHINESE) as client:
        ours = {"X-Imagewright": "1"}
        assert client.post("/api/plans/nothing", json={}).json() == {"error": "更改操作必须带有请求头 X-Imagewright"}
        assert client.post("/api/plans/nothing", json={}, headers=ours).json() == {"error": "没有流程 'nothing'"}
        refused = client.post("/api/plans/delete_image", json={"image_ids": []}, headers=ours)
        assert (refused.status_code, refused.json()) == (422, {"error": "image_ids：不能为空；至少 1 个"})
        assert "没有镜像 &#39;x&#39;：" in client.get("/images/x").text
        asked = [client.get("/api/v1/images?limit=x", headers={"Accept-Language": one}) for one in ("zh", "en")]
        assert asked[0].content == asked[1].content
