"""What people paste: ids in capitals and braces, spaces at the ends, short names of systems. Understood, or refused in a sentence."""

import json
from pathlib import Path

import pytest

from catalog.errors import InvalidRequest
from catalog.rules.images.combinations import check_image
from catalog.rules.images.naming import canonical_id
from flows import requests
from tests.catalog.samples import an_image
from tests.flows.command.test_command import told
from tests.flows.managed import placed

ID = "4b1c4a8e-5f0e-4a53-9d6b-0f5d3d0f6a11"
PASTED = [ID, ID.upper(), f" {ID}\n", f"{{{ID.upper()}}}", f"\t{{{ID}}} "]


@pytest.mark.parametrize("pasted", PASTED)
def test_an_id_is_the_one_that_was_copied(pasted: str) -> None:
    assert canonical_id(pasted) == ID
    assert requests.EditImage(image_id=pasted).image_id == ID
    assert requests.DeleteImage(image_ids=(pasted,)).image_ids == (ID,)
    assert requests.CleanUpLeftovers(leftover_ids=(pasted,)).leftover_ids == (ID,)
    assert requests.DeleteVolume(volume_id=pasted).volume_id == ID


@pytest.mark.parametrize("not_an_id", ["image-1", "ABC", "", f"{ID}-0"])
def test_what_is_no_uuid_is_left_as_it_is(not_an_id: str) -> None:
    assert canonical_id(not_an_id) in (not_an_id, not_an_id.strip())


def test_spaces_at_the_ends_are_no_part_of_a_name() -> None:
    shared = requests.SetSharingMode(image_id=ID, mode="specified", accounts=("bob ", "\tcarol"))
    assert shared.accounts == ("bob", "carol")
    assert requests.SyncImages(source=" a", target="b ", family="web\n").model_dump(
        include={"source", "target", "family"}
    ) == {"source": "a", "target": "b", "family": "web"}


def test_every_field_of_every_request_takes_text_without_the_spaces_around_it() -> None:
    models = [m for m in vars(requests).values() if isinstance(m, type) and issubclass(m, requests.Request)]
    assert len(models) > 25
    for model in models:
        assert model.model_config.get("str_strip_whitespace") is True, model


@pytest.mark.usefixtures("home")
def test_a_command_understands_an_id_in_capitals(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    image = placed(b"one" * 512)
    for command in ("show", "events", "lineage"):
        status, out, err = told(monkeypatch, capsys, command, image.id.upper(), "--json")
        assert (status, err) == (0, "")
        assert image.id in json.dumps(json.loads(out))


@pytest.mark.parametrize("os", ["Win7", "win 7", "Windows7", "win2008 R2", "Win2k8R2", "Windows Server 2008 R2"])
def test_a_system_that_needs_csm_is_known_by_its_short_name(os: str) -> None:
    with pytest.raises(InvalidRequest, match="only with CSM"):
        check_image(an_image(os=os, cpu_architecture="x86_64", bios_mode="UEFI"))
    check_image(an_image(os=os, cpu_architecture="x86_64", bios_mode="UEFI", enable_csm=True))


@pytest.mark.parametrize(
    "os", ["win2003", "Win2k3", "WinXP", "win 2000", "win2008", "Windows 2003 R2", "winserver2003"]
)
def test_a_system_too_old_for_uefi_is_known_by_its_short_name(os: str) -> None:
    with pytest.raises(InvalidRequest, match="too old for bios_mode UEFI"):
        check_image(an_image(os=os, cpu_architecture="x86_64", bios_mode="UEFI"))


@pytest.mark.parametrize("os", ["Win10", "win11", "Win2012", "win2k16", "Winter Linux 7", "Darwin 7", "Twin 7"])
def test_others_are_not_taken_for_them(os: str) -> None:
    check_image(an_image(os=os, cpu_architecture="x86_64", bios_mode="UEFI"))
