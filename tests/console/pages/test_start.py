"""The start page, one image whole, and finding: over a catalog of their own, with nobody where the Prefect server should be."""

from datetime import timedelta

from starlette.testclient import TestClient

from catalog import open_catalog
from catalog.records import BootFacts, Finding, ImageStatus, ReplicaStatus, Verdict
from catalog.units import utc_now
from console.pages.disk import COLUMNS, disk_of
from storage.boot.layout import DiskPart, Layout
from tests.catalog.samples import a_replica, an_image
from tests.console.pages.filled import filled, named_images
from tests.flows.managed import placed
from tests.storage.corpus_builders import MIB, gpt


def test_the_start_page_says_what_is_there_and_what_to_do(client: TestClient) -> None:
    assert "No images: add one" in client.get("/").text
    image = filled(2)
    with open_catalog() as catalog, catalog.changing(actor="admin") as change:
        proven = utc_now() - timedelta(days=90)
        whole = an_image(name="whole", status=ImageStatus.READY)
        change.save_image(whole)
        change.save_replica(
            a_replica(whole, status=ReplicaStatus.READY, size_bytes=4 << 30, stored_bytes=1 << 30, verified_at=proven)
        )
    text = client.get("/").text
    for told in (
        '<svg class="picture"',
        "4 GiB",
        "1 GiB",
        "image 0",
        "Retry",
        "1 leftover takes room",
        "long ago",
        "image added",
        f"/images/{image.id}",
        "does not answer",
    ):
        assert told in text, told
    assert "<script>alert" not in text
    assert len(text.encode()) < 100_000


def test_an_image_says_what_was_declared_beside_what_was_found(client: TestClient) -> None:
    finding = Finding(
        rule="qcow2.dirty", rule_version=3, severity="warning", offset=72, sentence="the dirty bit is set"
    )
    image = an_image(
        name="one", os="Debian 11", bios_mode="UEFI", md5="a" * 32, sha256="b" * 64, status=ImageStatus.READY, labels=("team=web",),
        verdict=Verdict(format="qcow2", virtual_size_bytes=1 << 30, rule_set="2026.11", findings=(finding,)),
        boot=BootFacts(guest_os="Debian GNU/Linux 12", bios_boot=True),
    )  # fmt: skip
    with open_catalog() as catalog, catalog.changing(actor="admin") as change:
        change.save_image(image)
        change.save_replica(a_replica(image, format="raw", md5="c" * 32, sha256="d" * 64))
        child = an_image(name="child", parent=image.id)
        change.save_image(child)
    text = client.get(f"/images/{image.id}").text
    for told in (
        "the dirty bit is set",
        "byte 72",
        "Debian 11",
        "Debian GNU/Linux 12",
        "Legacy",
        f'data-copy="{"d" * 64}"',
        "as stored",
        "team=web",
        f"/images/{child.id}",
        f'data-load="/images/{image.id}/disk"',
    ):
        assert told in text, told
    short = client.get(f"/images/{image.id[:8]}", follow_redirects=False)
    assert (short.status_code, short.headers["location"]) == (307, f"/images/{image.id}")
    assert client.get("/images/zzzzzzzz").status_code == 404


def test_two_moments_of_an_image_are_compared(client: TestClient) -> None:
    image = filled()
    with open_catalog() as catalog:
        first = max(event.sequence for event in catalog.events(image.id))
        with catalog.changing(actor="admin") as change:
            change.save_image(catalog.image(image.id).model_copy(update={"name": "renamed"}))
        last = max(event.sequence for event in catalog.events(image.id))
    text = client.get(f"/images/{image.id}?since={first}&until={last}").text
    changed = text[text.index('id="difference"') :]
    assert "image 0" in changed
    assert "renamed" in changed
    assert "Nothing differs" in client.get(f"/images/{image.id}?since={last}&until={last}").text


def test_a_file_is_drawn_where_it_has_data() -> None:
    size, image = COLUMNS * 1000, an_image()
    extents = [(0, 500, False), (500, size - 1000, True), (size - 1000, size, False)]
    drawn = disk_of(image, a_replica(image, size_bytes=size), extents, None)
    assert (drawn.data_bytes, [(c.x, c.height) for c in drawn.columns]) == (1500, [(0.0, 0.5), (798.0, 1.0)])
    assert drawn.parts == ()


def test_partitions_are_drawn_where_they_lie_and_the_smallest_is_seen() -> None:
    boot = BootFacts(guest_os="Debian", guest_at=400)
    parts = (
        DiskPart(start=0, size_bytes=400, holds="vfat"),
        DiskPart(start=400, size_bytes=399, holds="ext4"),
        DiskPart(start=799, size_bytes=1),
    )
    image = an_image(boot=boot)
    inside = Layout(table="gpt", size_bytes=800, parts=parts)
    drawn = disk_of(image, a_replica(image, size_bytes=9), [], inside)
    assert [(one.x, one.width, one.number, one.guest) for one in drawn.parts] == [
        (0, 400, 1, ""),
        (400, 399, 2, "Debian"),
        (797, 3, 3, ""),
    ]


def test_the_disk_of_an_image_is_read_from_its_storage(client: TestClient) -> None:
    image = placed(gpt(1063), virtual_size_bytes=MIB)
    text = client.get(f"/images/{image.id}/disk").text
    assert "partition table gpt" in text
    assert '<td class="number">20 KiB</td><td class="number">512 KiB</td>' in text


def test_words_find_and_stay_in_the_address(client: TestClient) -> None:
    images = [
        an_image(name="web", os="Rocky Linux 9", labels=("team=Shop",), cpu_architecture="x86_64"),
        an_image(name="db", description="of the shop", cpu_architecture="aarch64"),
    ]
    with open_catalog() as catalog, catalog.changing(actor="admin") as change:
        for image in images:
            change.save_image(image)
    for asked, found in {
        "q=ROCKY": {"web"}, "q=shop": {"web", "db"}, "q=shop+rocky": {"web"}, f"q={images[1].id[:8]}…": {"db"},
        "architecture=aarch64": {"db"}, "label=team%3DShop": {"web"}, "q=nothing": set(), "q=shop&sort=Name&page=1": set(),
    }.items():  # fmt: skip
        text = client.get(f"/?tab=images&{asked}").text
        assert set(named_images(text)) == found, asked
    assert 'value="shop"' in client.get("/?q=shop").text


def test_language_and_theme_are_chosen_by_browser_and_by_link(client: TestClient) -> None:
    chinese = client.get("/?tab=images", headers={"Accept-Language": "fr;q=0.9, zh-TW;q=0.8, en;q=0.1"}).text
    assert '<html lang="zh-CN">' in chinese
    assert "镜像" in chinese
    assert '<html lang="en">' in client.get("/?tab=images", headers={"Accept-Language": "fr"}).text
