"""Columns sort whole lists, as people count."""

import pytest
from starlette.testclient import TestClient

from catalog import open_catalog
from catalog.records import ImageStatus
from console.pages import pages, sorting
from console.pages.rows import Row
from console.pages.tabs import PAGE, TABS
from tests.catalog.samples import an_export, an_image
from tests.console.pages.filled import filled, named_images


def test_a_column_sorts_the_whole_list(client: TestClient) -> None:
    sizes = {"debian-9": 5 << 30, "debian-12": 900 << 20, "Alma": None, "zero": 0}
    with open_catalog() as catalog, catalog.changing(actor="admin") as change:
        for name, size_bytes in sizes.items():
            change.save_image(an_image(name=name, virtual_size_bytes=size_bytes, status=ImageStatus.READY))
    for sort, names in {
        "Name": ["Alma", "debian-9", "debian-12", "zero"],
        "-Name": ["zero", "debian-12", "debian-9", "Alma"],
        "Virtual size": ["zero", "debian-12", "debian-9", "Alma"],
        "-Virtual size": ["debian-9", "debian-12", "zero", "Alma"],
    }.items():
        text = client.get("/table", params={"sort": sort}).text
        assert named_images(text) == names, sort
        way = "descending" if sort.startswith("-") else "ascending"
        assert text.count("aria-sort") == text.count(f'aria-sort="{way}"') == 1
    assert "aria-sort" not in client.get("/table?sort=").text


def test_sorting_goes_over_pages_and_keeps_the_filter(client: TestClient) -> None:
    filled(PAGE + 3)
    answer = client.get("/?name=image*&sort=-Name")
    assert named_images(answer.text)[0] == f"image {PAGE + 2}"
    assert named_images(client.get("/table?name=image*&sort=-Name&page=1").text) == [
        "image 2",
        "image 1",
        "image 0",
    ]
    assert "name=image%2A&amp;tab=images&amp;sort=Owner" in answer.text
    assert 'name="sort" value="-Name"' in answer.text


def test_sorting_stops_where_it_would_take_long(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of images the catalog sorts all; of what nobody has thousands of, a page does it."""
    image = filled(4)
    with open_catalog() as catalog, catalog.changing(actor="admin") as change:
        for number in range(3):
            change.save_export(an_export(image, id=f"export {number}"))
    for module in (sorting, pages):
        monkeypatch.setattr(module, "MOST", 3)
    text = client.get("/table?tab=exports&sort=Name").text
    assert len(named_images(text)) == 3
    assert "Only the first 3 are sorted" in text
    assert len(named_images(client.get("/table?sort=Name").text)) == 4
    assert "are sorted" not in client.get("/table?tab=exports").text


@pytest.mark.parametrize("tab", TABS)
def test_every_column_can_be_sorted_by(client: TestClient, tab: str) -> None:
    filled()
    for column in ("Name", *TABS[tab].columns):
        assert client.get("/table", params={"tab": tab, "sort": f"-{column}"}).status_code == 200, column


def test_names_are_sorted_as_people_count() -> None:
    names = ["b1", "a10", "a9", "A09x", "9" * 9000, "²", "", "a"]
    rows = [Row(name, name, ()) for name in names]
    assert [row.name for row in sorting.ordered(rows, (), "Name")] == [
        "9" * 9000, "a", "a9", "A09x", "a10", "b1", "²", "",
    ]  # fmt: skip
