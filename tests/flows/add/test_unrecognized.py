"""Adding what does not look like a disk: refused by name, kept when somebody insists, and both on record."""

import os
from pathlib import Path

import pytest

from catalog import open_catalog
from catalog.errors import UnsafeImage
from catalog.records import Image, ImageStatus
from flows.requests import AddSystemImage, AddVolumeImage, CheckQuality
from tests.flows.conftest import MIB, Site
from tests.services.images import need
from tests.storage.corpus_builders import gpt, patched, qcow2
from tests.storage.other_kinds import followed

pytestmark = pytest.mark.prefect
BACKUP = followed(b"VMA\0\0\0\0\x01")
MUSIC = followed(b"MThd\0\0\0\x06\0\1\0\2\0\x60MTrk")


def add(**fields: object) -> Image:
    from flows import add_volume_image

    image = add_volume_image(AddVolumeImage.model_validate({"name": "data", "image_format": "raw", **fields}))
    assert isinstance(image, Image)
    return image


@pytest.mark.parametrize(
    ("content", "says"),
    [(BACKUP, "Proxmox VE backup"), (MUSIC, "MIDI"), (b"not here\n", "text")],
    ids=["backup", "music", "text"],
)
def test_a_file_of_another_kind_is_refused_by_name_and_nothing_is_kept(
    home: Path, site: Site, content: bytes, says: str
) -> None:
    need("file")
    with pytest.raises(UnsafeImage, match=f"{says}.*accept_unrecognized"):
        add(image_path=site.put("image", content))
    (image,) = open_catalog().images()
    assert image.status is ImageStatus.ERROR
    assert says in (image.error or "")


def test_who_insists_gets_the_image_and_it_is_on_record(home: Path, site: Site) -> None:
    image = add(image_path=site.put("image", BACKUP), accept_unrecognized=True)
    assert image.status is ImageStatus.READY
    assert any("Proxmox VE backup" in warning for warning in image.warnings)
    catalog = open_catalog()
    kept = catalog.image(image.id)
    assert kept.verdict is not None
    assert "file.accepted-unrecognized" in [f.rule for f in kept.verdict.findings]
    logged = [
        entry
        for entry in catalog.events(subject=f"image:{image.id}")
        if "accept_unrecognized" in entry.model_dump_json()
    ]
    assert logged


def test_an_insisted_image_outlives_a_later_look_at_all_stored_ones(home: Path, site: Site) -> None:
    from flows import check_quality

    image = add(image_path=site.put("image", BACKUP), accept_unrecognized=True)
    check_quality(CheckQuality(rescan=True))
    assert open_catalog().image(image.id).state == "Enabled"


def test_insisting_lets_nothing_dangerous_in(home: Path, site: Site) -> None:
    with pytest.raises(UnsafeImage, match="backing file"):
        add(
            image_path=site.put("image", qcow2(backing=b"/etc/passwd")),
            image_format="qcow2",
            accept_unrecognized=True,
        )


def test_a_volume_that_nobody_knows_is_ready_with_a_warning(home: Path, site: Site) -> None:
    image = add(image_path=site.put("image", os.urandom(MIB)))
    assert image.status is ImageStatus.READY
    assert any("nothing says that the bytes are a disk" in warning for warning in image.warnings)


def test_a_cut_disk_is_ready_with_a_warning_that_says_so(home: Path, site: Site) -> None:
    image = add(image_path=site.put("image", gpt(1000)[: 800 << 10]))
    assert image.status is ImageStatus.READY
    assert any("backup GPT" in warning for warning in image.warnings)


def test_a_hybrid_iso_is_added_as_the_disk_that_it_is(home: Path, site: Site) -> None:
    from flows import add_system_image
    from tests.storage.corpus_builders import iso, mbr

    content = patched(iso(blocks=512), 0, mbr((0x80, 0x17, 0, 2048), code=b"\xfa\xfcisolinux.bin"))
    request = AddSystemImage(name="live", image_format="raw", image_path=site.put("image", content))
    image = add_system_image(request)
    assert isinstance(image, Image)
    assert (image.status, image.format_stored) == (ImageStatus.READY, "raw")
