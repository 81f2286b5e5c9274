"""Lines: what each says of its thing, and what it offers."""

import re
import time
from html import unescape
from uuid import uuid4

from starlette.testclient import TestClient

from catalog import open_catalog
from catalog.records import ImageStatus, ImageStorage, ReplicaStatus
from catalog.settings import Settings
from storage.uploads import Upload, Uploads, url_of
from tests.catalog.samples import a_replica, an_image
from tests.console.pages.filled import HOSTILE, NOW, filled, named_images


def test_storages_show_how_full_they_are(client: TestClient, settings: Settings) -> None:
    image = filled()
    bounded = ImageStorage(
        name="bounded", kind="imagestore", url=(settings.home / "x").as_uri(), capacity_bytes=10 << 20, reserve_bytes=0, created_at=NOW
    )  # fmt: skip
    away = bounded.model_copy(update={"name": "away", "url": "s3://bucket", "endpoint": "http://127.0.0.1:9"})
    with open_catalog() as catalog, catalog.changing(actor="admin") as change:
        change.save_image_storage(bounded)
        change.save_image_storage(away.model_copy(update={"state": "Disabled"}))
        change.save_replica(a_replica(image, image_storage="bounded", size_bytes=3 << 20, stored_bytes=1 << 20))
    deadline = time.monotonic() + 60
    while "being measured" in (text := client.get("/table?tab=storages").text) and time.monotonic() < deadline:
        time.sleep(0.1)  # a page waits for a moment only
    for told in (
        " B of 10 MiB, room for 10 MiB",
        "3 MiB → 1 MiB, 3.0 : 1",
        "it is disabled; enable it first",
    ):
        assert told in text, text
    assert "room for" in client.get("/table?tab=primary").text


def test_what_is_disabled_is_marked_by_a_word(client: TestClient) -> None:
    off = an_image(name="off", state="Disabled", status=ImageStatus.READY)
    with open_catalog() as catalog, catalog.changing(actor="admin") as change:
        change.save_image(an_image(name="on", status=ImageStatus.READY))
        change.save_image(off)
        default = change.image_storage("default")
        change.save_image_storage(default.model_copy(update={"state": "Disabled"}))
    mark = '<span class="badge">Disabled</span>'
    for place in ("/table", "/table?tab=storages", f"/images/{off.id}"):
        assert client.get(place).text.count(mark) == 1, place


def test_an_image_shows_where_it_lies_now_not_where_it_was_added(client: TestClient) -> None:
    image = an_image(name="travelled", status=ImageStatus.READY, image_storages=("default",))
    with open_catalog() as catalog, catalog.changing(actor="admin") as change:
        default = change.image_storage("default")
        for name in ("far", "near"):
            change.save_image_storage(default.model_copy(update={"name": name}))
        change.save_image(image)
        change.save_replica(a_replica(image, "far", status="Ready"))
        change.save_replica(a_replica(image, "near", status="Damaged"))
    text = unescape(client.get("/table").text)
    assert 'data-of="Storages">far, near (Damaged)</td>' in text
    assert '"source":"far"' in text
    assert "<dt>image storages</dt>" not in client.get(f"/images/{image.id}").text


def test_a_deprecated_image_says_so_and_what_to_use_instead(client: TestClient) -> None:
    new = an_image(name="debian-13", status=ImageStatus.READY)
    old = an_image(name="debian-12", status=ImageStatus.READY, deprecated=True, replaced_by=new.id)
    with open_catalog() as catalog, catalog.changing(actor="admin") as change:
        for image in (
            new,
            old,
            an_image(name="lone", status=ImageStatus.READY, deprecated=True, replaced_by="gone"),
        ):
            change.save_image(image)
    for place, count in {"/table": 2, f"/images/{old.id}": 1, f"/images/{new.id}": 0}.items():
        text = client.get(place).text
        assert text.count('<span class="badge mild">Deprecated</span>') == count, place
        assert text.count(f'use <a href="/images/{new.id}">debian-13</a>') == min(count, 1), place
    assert named_images(client.get("/table?deprecated=hidden").text) == ["debian-13"]
    assert sorted(named_images(client.get("/table?deprecated=only").text)) == ["debian-12", "lone"]


def test_uploads_are_listed_with_their_state(client: TestClient, settings: Settings) -> None:
    def upload(length: int) -> Upload:
        made = Upload(
            id=an_image().id, length=length, filename=HOSTILE, flow="add_volume_image", request='{"name": "n"}', created_at=NOW
        )  # fmt: skip
        Uploads(settings).create(made)
        return made

    begun, waiting, whole, refused = (upload(5) for _ in range(4))
    for one in (waiting, whole):
        Uploads(settings).data(one.id).write_bytes(b"12345")
    Uploads(settings).begin_run(whole.id, str(uuid4()))
    Uploads(settings).refuse(refused.id, "it is raw")
    text = client.get("/table?tab=uploads").text
    words = {
        "Uploading": 1,
        "Adding": 1,
        "Waiting": 1,
        "Refused": 1,
        "it is raw": 1,
        "did not take it yet": 1,
    }
    words |= {"<progress": 4, "data-upload": 1, "data-discard": 3, "data-retry": 0}
    assert {word: text.count(word) for word in words} == words
    assert begun.id in text
    assert "<script>" not in text
    with open_catalog() as catalog, catalog.changing(actor="admin") as change:
        change.save_image(an_image(id=whole.id, status=ImageStatus.ERROR, error="it is no image"))
    text = client.get("/?tab=uploads").text
    words = {"Failed": 1, "it is no image": 1, "data-discard": 4, "Uploads (4)": 1, "data-retry": 1}
    assert {word: text.count(word) for word in words} == words


def test_what_was_sent_is_announced_otherwise_from_its_line(client: TestClient, settings: Settings) -> None:
    request = '{"name": "n", "image_format": "qcow2", "virtio": false, "expected_checksum": "md5:x"}'
    refused = Upload(id=an_image().id, length=5, filename="a", flow="add_system_image", request=request, created_at=NOW)
    Uploads(settings).create(refused)
    Uploads(settings).refuse(refused.id, "it is raw")
    line = client.get("/table?tab=uploads").text
    given = re.search(r'class="menu" data-given=\'([^\']*)\'', line)
    assert given
    form = client.get("/forms/add_system_image", params={"given": unescape(given[1])}).text
    assert f'data-upload="{refused.id}"' in form
    assert 'type="file"' not in form
    assert 'value="md5:x"' in form
    assert form.count("readonly") == 2  # the file, and the image's id
    assert 'data-upload="' not in client.get("/forms/add_system_image").text


def test_an_image_whose_add_failed_can_be_added_again(client: TestClient, settings: Settings) -> None:
    sent = Upload(id=an_image().id, length=5, filename="a", flow="add_volume_image", request="{}", created_at=NOW)
    Uploads(settings).create(sent)
    failed = {"status": ImageStatus.ERROR, "error": "away"}
    images = {
        "from a URL": an_image(**failed),
        "of an upload": an_image(id=sent.id, source=url_of(sent.id), **failed),
        "of an upload that is gone": an_image(source=url_of(an_image().id), **failed),
        "damaged": an_image(**failed),
        "ready": an_image(status=ImageStatus.READY),
    }
    with open_catalog() as catalog, catalog.changing(actor="admin") as change:
        for image in images.values():
            change.save_image(image)
        change.save_replica(a_replica(images["damaged"], status=ReplicaStatus.DAMAGED))
    table = client.get("/table").text
    for what, image in images.items():
        offered = what in ("from a URL", "of an upload")
        assert (f'data-retry="{image.id}"' in table) == offered, what
        assert (f'data-retry="{image.id}"' in client.get(f"/images/{image.id}").text) == offered, what


def test_moments_name_their_zone_and_are_marked_for_the_browser(client: TestClient) -> None:
    filled()
    for tab in ("images", "exports", "bin", "leftovers"):
        text = client.get(f"/table?tab={tab}").text
        for stamp in re.findall(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:]{5}[^<]*", text):
            assert stamp.endswith(" UTC"), (tab, stamp)
        assert len(re.findall(r'<time datetime="[^"]+Z">[^<]+ UTC</time>', text)) >= 1, tab
