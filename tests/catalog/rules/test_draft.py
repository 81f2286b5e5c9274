"""One call checks what an add asks for; each rule of the form still speaks for itself."""

import pytest

from catalog.errors import InvalidRequest
from catalog.records import Architecture
from catalog.rules.images.checksums import Checksum, ChecksumList
from catalog.rules.images.draft import Draft, settled_draft
from tests.catalog.samples import an_image

TRIED: tuple[Architecture, ...] = ("x86_64",)
URL = "https://host/disk.qcow2"
UPLOADED = "upload://43b16fec-0000-4000-8000-000000000000"


def a_draft(image: dict[str, object] | None = None, **fields: object) -> Draft:
    system = {"image_type": "System", "cpu_architecture": "x86_64", "bios_mode": "Legacy"}
    return Draft.model_validate({"image": an_image(**{**system, **(image or {})}), "urls": (URL,), **fields})


@pytest.mark.parametrize(
    "draft",
    [
        a_draft(),
        a_draft({"image_type": "Volume", "cpu_architecture": None, "bios_mode": None}),
        a_draft(boots=True, credentials="mirror-login"),
        a_draft(expected=ChecksumList()),
        a_draft(expected=ChecksumList(url="https://host/SHA256SUMS"), urls=(UPLOADED,)),
        a_draft(expected=Checksum(algorithm="md5", hex="0" * 32), urls=(UPLOADED,)),
    ],
)
def test_what_breaks_no_rule_passes(draft: Draft) -> None:
    settled_draft(draft, TRIED)


@pytest.mark.parametrize(
    ("image", "medium", "mode"),
    [
        ({"bios_mode": None}, "Template", "Legacy"),
        ({"bios_mode": None, "cpu_architecture": "aarch64"}, "Template", "UEFI"),
        ({"bios_mode": "UEFI", "format": "iso"}, "ISO", "UEFI"),
        ({"image_type": "Volume", "cpu_architecture": None, "bios_mode": None}, "DataTemplate", None),
    ],
)
def test_what_was_left_open_is_settled(image: dict[str, object], medium: str, mode: str | None) -> None:
    settled = settled_draft(a_draft(image), TRIED).image
    assert (settled.media, settled.bios_mode) == (medium, mode)


@pytest.mark.parametrize(
    ("draft", "parameter", "said"),
    [
        (a_draft({"name": "a/b"}), "name", "character 2 is '/'"),
        (a_draft({"description": "x" * 2049}), "description", "at most 2,048 characters"),
        (a_draft(expected=ChecksumList(), urls=(UPLOADED,)), "expected_checksum", "no list of checksums lies next to an upload"),
        (a_draft(expected=ChecksumList(), urls=(URL, UPLOADED)), "expected_checksum", "next to an upload"),
        (a_draft(credentials="x", urls=("file:///srv/x.raw",)), "credentials", "only http, https, ftp, sftp, s3 take them"),
        (a_draft(credentials="x", secret_in_url=True), "credentials", "give it in one place only"),
        (a_draft({"enable_csm": True}), "enable_csm", "only with bios_mode UEFI"),
        (a_draft({"image_type": "Volume"}), "cpu_architecture", "a volume image holds only data"),
        (a_draft({"cpu_architecture": "aarch64", "bios_mode": "UEFI"}, boots=True), "boot_check", "aarch64 can't be tried here, only x86_64"),
    ],
)  # fmt: skip
def test_the_first_rule_that_is_broken_is_named(draft: Draft, parameter: str, said: str) -> None:
    with pytest.raises(InvalidRequest, match=said) as caught:
        settled_draft(draft, TRIED)
    assert caught.value.parameter == parameter


def test_a_draft_shows_no_secret() -> None:
    secret = "https://user:hunter2@host/disk.raw"
    shown = repr(a_draft(urls=(secret,), expected=ChecksumList(url=f"{secret}.sha256")))
    assert "hunter2" not in shown
