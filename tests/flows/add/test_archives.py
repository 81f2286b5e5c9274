"""Adding what vendors hand out: archives and packed files become the disk inside them, or a sentence that says why not."""

import gzip
import hashlib
from pathlib import Path

import pytest

from catalog import open_catalog
from catalog.errors import UnsafeImage
from catalog.records import Image, ImageStatus
from flows.requests import AddVolumeImage, ExportImage
from tests.flows.add.test_image import stored_objects
from tests.flows.conftest import Site
from tests.services.images import run
from tests.storage.sources.archives import boot_disk, envelope, manifest, old_sparse, tar_of, zip_of

pytestmark = pytest.mark.prefect
DISK = boot_disk()


def add(site: Site, content: bytes, image_format: str = "raw", **fields: object) -> Image:
    from flows import add_volume_image

    request = {
        "name": "packed",
        "image_format": image_format,
        "image_path": site.put("packed", content),
        **fields,
    }
    image = add_volume_image(AddVolumeImage.model_validate(request))
    assert isinstance(image, Image)
    return image


def exported(image: Image) -> bytes:
    from catalog.records import ExportedImage
    from flows import export_image

    export = export_image(ExportImage(image_id=image.id))
    assert isinstance(export, ExportedImage)
    return Path(export.path).read_bytes()


def vmdk(folder: Path) -> bytes:
    (folder / "disk.raw").write_bytes(DISK)
    options = ("-O", "vmdk", "-o", "subformat=streamOptimized")
    run("qemu-img", "convert", "-f", "raw", *options, folder / "disk.raw", folder / "disk.vmdk")
    return (folder / "disk.vmdk").read_bytes()


def test_an_ova_as_vendors_make_it_becomes_its_disk(home: Path, site: Site, tmp_path: Path) -> None:
    packed = gzip.compress(vmdk(tmp_path))
    files = [("vm.ovf", envelope("d.vmdk.gz", others=["floppy.img"])), ("d.vmdk.gz", packed)]
    content = tar_of(("._vm.ovf", b"\0"), *files, ("floppy.img", bytes(512)), ("vm.mf", manifest("sha256", *files)))
    image = add(site, content, "vmdk")
    assert (image.status, image.format_stored, image.warnings) == (ImageStatus.READY, "qcow2", ())


def test_an_ova_that_is_not_what_its_manifest_says_leaves_nothing(home: Path, site: Site, tmp_path: Path) -> None:
    files = [("vm.ovf", envelope("d.vmdk")), ("d.vmdk", vmdk(tmp_path))]
    wrong = manifest("sha256", files[0], ("d.vmdk", b"else"))
    with pytest.raises(UnsafeImage, match=r"'d\.vmdk' has SHA256 .*manifest"):
        add(site, tar_of(*files, ("vm.mf", wrong)), "vmdk")
    with open_catalog() as catalog:
        assert [image.status for image in catalog.images()] == [ImageStatus.ERROR]
    assert not [name for name in stored_objects(home) if "manifest" in name]


def test_a_zip_is_held_to_the_checksum_published_for_it(home: Path, site: Site) -> None:
    content = zip_of(("disk.raw", DISK), piped=True)
    image = add(site, content, expected_checksum=f"sha256:{hashlib.sha256(content).hexdigest()}")
    assert exported(image) == DISK


def test_holes_of_a_sparse_tar_are_zeros_again(home: Path, site: Site) -> None:
    image = add(
        site,
        gzip.compress(old_sparse("disk.raw", [(0, DISK[:512]), (900_000, DISK[:300]), (len(DISK), b"")], len(DISK))),
    )
    whole = bytearray(len(DISK))
    whole[:512], whole[900_000:900_300] = DISK[:512], DISK[:300]
    assert exported(image) == whole


def test_what_was_left_out_behind_the_data_is_a_warning(home: Path, site: Site) -> None:
    image = add(site, gzip.compress(DISK) + b"-- signed by the build --")
    assert image.status is ImageStatus.READY
    said = [warning for warning in image.warnings if "file.unrecognized" not in warning]
    assert said == ["25 bytes behind the source's gz data were left out"]
    assert exported(image) == DISK
