"""How many bytes a page has that is asked for often, as it goes over the wire without compression."""

from starlette.testclient import TestClient

from catalog import open_catalog
from catalog.records import ImageStatus
from console.pages.tabs import PAGE
from tests.catalog.samples import a_replica, an_image

MOST = 80_000
LONG = (
    "{:03} a long name, as publishers like them, with a version and a date in it and the machine that built the image"
)


def test_a_page_of_fifty_images_with_long_names_is_light(client: TestClient) -> None:
    with open_catalog() as catalog, catalog.changing(actor="admin") as change:
        for number in range(PAGE + 1):
            image = an_image(
                name=LONG.format(number)[:100], status=ImageStatus.READY, os="Debian GNU/Linux 12 (bookworm)", cpu_architecture="x86_64",
                virtual_size_bytes=3 << 30,
            )  # fmt: skip
            change.save_image(image)
            change.save_replica(a_replica(image, status="Ready"))
    answer = client.get("/?tab=images")
    assert answer.text.count("<tr data-row=") == PAGE
    assert len(answer.content) <= MOST, len(answer.content)
