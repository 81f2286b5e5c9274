"""Plans name things as people do."""

import pytest

from catalog import open_catalog
from console.plan_names import subject_name
from tests.console.pages.filled import HOSTILE, filled


@pytest.mark.usefixtures("home")
def test_a_plan_names_images_by_name_and_shortened_id() -> None:
    image = filled()
    with open_catalog() as catalog:
        (export,), short = catalog.exports(), f"{image.name} ({image.id[:8]}…)"
        found = [
            subject_name(catalog, subject)
            for subject in (
                f"image:{image.id}", f"replica:{image.id}@far", "leftover:l", f"export:{export.id}", "volume:v",
                "image:gone", "image_storage:default", "debris",
            )
        ]  # fmt: skip
    assert found == [
        f"image {short}", f"replica {short} on far", f"leftover {short}", f"export {short}", f"volume {HOSTILE} (v…)",
        "image:gone", "image_storage:default", "debris",
    ]  # fmt: skip
