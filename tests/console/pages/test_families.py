"""The tab of families: the latest, since when, and what each gate saw of what is not the latest."""

import re
from datetime import timedelta
from html import unescape

from starlette.testclient import TestClient

from catalog import open_catalog
from catalog.records import Evidence
from console.pages.families.builds import LEFT
from tests.catalog.rules.promotion.builds import NOW, a_build, a_family


def lines(client: TestClient) -> list[str]:
    """Return the text of each row, as it is read."""
    text = client.get("/table?tab=families").text
    rows = re.findall(r"<tr(?: data-row=\"[^\"]*\"| class=\"build\")[^>]*>.*?</tr>", text, re.DOTALL)
    return [re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", row))).strip() for row in rows]


def test_a_family_shows_its_latest_and_what_waits_or_was_refused(client: TestClient) -> None:
    wrong: tuple[dict[str, object], ...] = (
        {},
        {},
        {"quality": None},
        {"status": "Error", "error": "the source broke off"},
    )
    old, young, bad, failed = (
        a_build(f"1.{day}", created_at=NOW + timedelta(days=day), **fields) for day, fields in enumerate(wrong)
    )
    with open_catalog() as catalog, catalog.changing("admin") as change:
        change.save_family(a_family(soak_hours=48))
        for image in (old, young, bad, failed):
            change.save_image(image, event="imagewright.image.ready")
        change.promote("debian", change.image(old.id), "first", (Evidence(gate="digest", passed=True, sentence="s"),))
    first, *others = lines(client)
    assert re.search(r"^debian x86_64 debian-1\.0 1\.0 20\d\d-.* UTC /f/debian/latest Actions on debian ", first), first
    told = {line.split()[1]: line for line in others}
    assert told["debian-1.1"].startswith("waits")
    assert "Ready for 0.0 of 48 hours" in told["debian-1.1"]
    assert "refused" in told["debian-1.2"]
    assert "quality" in told["debian-1.2"]
    assert "the source broke off" in told["debian-1.3"]
    assert "debian-1.0" not in told
    text = client.get("/table?tab=families").text
    assert {"roll_back_family", "recall_image", "set_family", "delete_family", "promote_image"} <= set(
        re.findall(r'data-flow="([a-z_]+)"', text)
    )


def test_what_a_family_went_back_from_is_told_as_such(client: TestClient) -> None:
    old, young = (a_build(f"1.{day}", created_at=NOW + timedelta(days=day)) for day in range(2))
    with open_catalog() as catalog, catalog.changing("admin") as change:
        change.save_family(a_family())
        for image in (old, young):
            change.save_image(image)
            change.promote("debian", change.image(image.id), "new")
        change.go_back("debian", "x86_64", change.image(old.id), "it is slow")
    first, second = lines(client)
    assert "debian-1.0" in first
    assert "refused debian-1.1" in second
    assert LEFT in second


def test_each_architecture_has_its_line_and_address(client: TestClient) -> None:
    intel, arm = a_build("1.0"), a_build("1.0", cpu_architecture="aarch64")
    with open_catalog() as catalog, catalog.changing("admin") as change:
        change.save_family(a_family())
        change.save_family(a_family(name="empty"))
        for image in (intel, arm):
            change.save_image(image)
    text = client.get("/table?tab=families").text
    assert re.findall(r'href="(/f/[^"]*)"', text) == ["/f/debian/latest?arch=aarch64", "/f/debian/latest"]
    assert [line.split()[0] for line in lines(client)] == ["debian", "debian", "empty"]
    assert f'href="/images/{arm.id}"' in text


def test_a_form_of_a_family_shows_its_rules(client: TestClient) -> None:
    with open_catalog() as catalog, catalog.changing("admin") as change:
        change.save_family(a_family(description="for the web", soak_hours=12))
    form = client.get("/forms/set_family", params={"given": '{"name": "debian"}'}).text
    assert 'value="for the web"' in form
    assert 'value="12.0"' in form
