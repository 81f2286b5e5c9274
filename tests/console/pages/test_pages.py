"""Tabs and details: every one on an empty and on a filled catalog, and nothing that is said becomes markup."""

import sqlite3

import pytest
from starlette.testclient import TestClient

from catalog.settings import Settings, load_settings
from console.app import create_app
from console.pages.tabs import PAGE, TABS
from tests.console.pages.filled import filled


@pytest.mark.parametrize("tab", TABS)
def test_every_tab_of_an_empty_catalog(client: TestClient, tab: str) -> None:
    answer = client.get(f"/?tab={tab}")
    assert answer.status_code == 200
    assert TABS[tab].title in answer.text
    assert ('class="empty"' in answer.text) == (tab not in {"storages", "primary"})


@pytest.mark.parametrize("tab", TABS)
def test_every_tab_of_a_filled_catalog(client: TestClient, tab: str) -> None:
    filled()
    for answer in (client.get(f"/?tab={tab}"), client.get(f"/table?tab={tab}")):
        assert (answer.status_code, 'class="empty"' in answer.text) == (200, tab == "uploads")
        assert "<script>alert" not in answer.text
        assert tab == "uploads" or "Actions" in answer.text


def test_details_say_everything_and_escape_it(client: TestClient) -> None:
    image = filled()
    text = client.get(f"/images/{image.id}").text
    assert "<script>alert" not in text
    for told in (image.id, "&lt;script&gt;", "imagewright.", "never", "0 B" if not image.size_bytes else ""):
        assert told in text


def test_what_is_not_there_is_said_in_a_sentence(client: TestClient) -> None:
    for path in ("/images/nothing", "/images/<b>", "/?tab=nothing", "/?tab=<b>", "/table?tab="):
        answer = client.get(path)
        assert (answer.status_code, "<b>" in answer.text) == (404, False)
    nested = f"/forms/edit_image?given={'[' * 5000}"
    for path in ("/forms/nothing", "/forms/edit_image?given=x", "/forms/edit_image?given=[]", nested):
        assert client.get(path).status_code == 404


def test_a_catalog_that_does_not_answer_is_said_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    monkeypatch.setenv("IMAGEWRIGHT_CATALOG_URL", f"sqlite:///{settings.home}/no folder/catalog.db")
    (settings.home / "no folder").write_text(
        "a file"
    )  # before anybody makes that folder: a host gives its sign of life from a thread
    app = create_app(load_settings())
    with TestClient(app, base_url="http://127.0.0.1") as broken:
        for path in ("/", "/table", "/images/x"):
            answer = broken.get(path)
            assert (answer.status_code, "is unavailable" in answer.text) == (503, True), answer.text


def test_pages_of_a_long_list(client: TestClient) -> None:
    filled(PAGE + 1)
    first, second = client.get("/table").text, client.get("/table?page=1").text
    assert (first.count('scope="row"'), second.count('scope="row"')) == (PAGE, 1)
    assert ("Older" in first, "Newer" in first, "Older" in second, "Newer" in second) == (
        True,
        False,
        False,
        True,
    )
    assert client.get("/table?page=-1").text.count('scope="row"') == PAGE
    assert client.get("/table?page=99999999999").status_code == 200


def test_filters(client: TestClient) -> None:
    filled(3)
    assert client.get("/table?name=*2").text.count('scope="row"') == 1
    assert client.get("/table?status=Ready").text.count('scope="row"') == 0
    assert client.get("/table?status=Error").text.count('scope="row"') == 3
    for found, asked in {3: "kind=System&format=qcow2", 0: "kind=Volume", 1: "storage=default"}.items():
        assert client.get(f"/table?{asked}").text.count('scope="row"') == found, asked
    assert "Nothing matches the filter." in client.get("/?kind=Volume").text


@pytest.mark.parametrize("asked", ["status=x", "kind=ISO", "format=exe"])
def test_a_filter_that_can_not_be_is_a_sentence(settings: Settings, asked: str) -> None:
    with TestClient(create_app(settings), base_url="http://127.0.0.1") as client:
        answer = client.get(f"/?{asked}")
        assert (answer.status_code, "is not allowed; one of" in answer.text) == (422, True), answer.text


def test_a_bad_row_is_named_and_the_others_are_listed(client: TestClient, settings: Settings) -> None:
    first = filled(3)
    with sqlite3.connect(settings.home / "catalog.db") as database:
        database.execute("UPDATE images SET status = 'Sleeping' WHERE id = ?", (first.id,))
    for place in ("/", "/?tab=images"):
        page = client.get(place)
        assert page.status_code == 200
        assert "image 1" in page.text
        assert "image 2" in page.text
        assert f"image:{first.id} can&#39;t be read: its status is &#39;Sleeping&#39;" in page.text
