"""Many adds in one run: each for itself, the same ids whenever it is asked again, and a report that says what became of each."""

import json
import os
import subprocess
from pathlib import Path

import pytest

import flows
from catalog import open_catalog
from catalog.errors import InvalidRequest
from catalog.records import AddReport, ImageStatus, Plan
from flows.add.many import asked_for, read
from flows.requests import AddImages, AddSystemImage, AddVolumeImage
from tests.services.prefect import COMMAND

prefect = pytest.mark.prefect
MIB = 1 << 20


def disk(folder: Path, name: str) -> str:
    path = folder / name
    path.write_bytes(os.urandom(MIB))
    return path.as_uri()


def volume(name: str, path: str) -> AddVolumeImage:
    return AddVolumeImage(name=name, image_format="raw", image_path=path)


def added(request: AddImages) -> AddReport:
    report = flows.add_images(request)
    assert isinstance(report, AddReport)
    return report


@prefect
def test_one_that_fails_stops_no_other_and_again_adds_what_is_missing(home: Path, tmp_path: Path) -> None:
    missing = tmp_path / "b.raw"
    wanted = AddImages(
        requests=(
            volume("a", disk(tmp_path, "a.raw")),
            volume("b", missing.as_uri()),
            volume("c", disk(tmp_path, "c.raw")),
        )
    )
    first = added(wanted)
    assert [(one.name, one.outcome) for one in first.images] == [("a", "added"), ("b", "failed"), ("c", "added")]
    assert "b.raw" in (first.images[1].error or "")
    disk(tmp_path, "b.raw")
    second = added(wanted)
    assert [one.outcome for one in second.images] == ["already there", "added", "already there"]
    assert [one.id for one in second.images] == [one.id for one in first.images]
    with open_catalog() as catalog:
        assert {image.name: image.status for image in catalog.images()} == dict.fromkeys("abc", ImageStatus.READY)


@prefect
def test_a_plan_says_what_each_would_do_and_adds_nothing(home: Path, tmp_path: Path) -> None:
    wanted = AddImages(
        requests=(volume("a", disk(tmp_path, "a.raw")), volume("b", "file:///nowhere/b.raw")), plan_only=True
    )
    plan = flows.add_images(wanted)
    assert isinstance(plan, Plan)
    assert plan.bytes_to_move == MIB
    assert [action.verb for action in plan.actions if action.subject.startswith("image:")] == ["add", "refuse"]
    with open_catalog() as catalog:
        assert not list(catalog.images())


@prefect
def test_the_command_reads_a_file_and_exits_1_where_one_failed(home: Path, tmp_path: Path) -> None:
    rows = [{"image_type": "Volume", "name": name, "image_format": "raw", "image_path": path}
            for name, path in {"a": disk(tmp_path, "a.raw"), "b": "file:///nowhere/b.raw"}.items()]  # fmt: skip
    file = tmp_path / "images.json"
    file.write_text(json.dumps(rows))
    done = command("add-images", "--file", str(file), "--json")
    assert done.returncode == 1, done.stderr
    report = AddReport.model_validate_json(done.stdout)
    assert [one.outcome for one in report.images] == ["added", "failed"]
    assert "add-images failed for 1 of 2: image:" in done.stderr


@prefect
def test_a_file_that_can_not_be_meant_is_wrong_usage(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "images.yaml"
    file.write_text("- name: a\n  image_path: file:///a\n  image_format: rwa\n")
    done = command("add-images", "--file", str(file))
    assert done.returncode == 2
    assert "row 1 of" in done.stderr
    assert "image_format" in done.stderr


def command(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([COMMAND, *words], capture_output=True, text=True, check=False, timeout=280)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.yaml", "- {image_type: Volume, name: a, image_format: raw, image_path: 'file:///a'}\n- {name: b, image_path: 'file:///b'}\n"),
        ("a.json", '[{"image_type": "Volume", "name": "a", "image_format": "raw", "image_path": "file:///a"}, {"name": "b", "image_path": "file:///b"}]'),
        ("a.csv", "image_type,name,image_format,image_path,image_storages\nVolume,a,raw,file:///a,default\n,b,,file:///b,\n"),
    ],
)  # fmt: skip
def test_each_kind_of_file_says_the_same(tmp_path: Path, name: str, text: str) -> None:
    file = tmp_path / name
    file.write_text(text)
    a, b = read(file)
    assert isinstance(a, AddVolumeImage)
    assert isinstance(b, AddSystemImage)
    assert (a.name, a.image_format, b.name, b.image_path) == ("a", "raw", "b", "file:///b")


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.txt", "", r"ends in \.json, \.csv, \.yaml"),
        ("a.json", "{", "can be read"),
        ("a.yaml", "[", "can be read"),
        ("a.yaml", "name: a", "a list of adds"),
        ("a.csv", "name,image_path,color\na,file:///a,red\n", "row 1 of .*there is no such field"),
        ("a.json", '[{"name": "a", "image_path": "file:///a", "image_type": "Disk"}]', "row 1 of .*System or Volume"),
        ("a.json", "[]", "at least one add"),
        ("a.json", '[{"name": "a", "image_path": "file:///a"}, {"name": "a", "image_path": "file:///a"}]', "each image once"),
    ],
)  # fmt: skip
def test_what_can_not_be_read_is_said_with_its_row(tmp_path: Path, name: str, text: str, said: str) -> None:
    file = tmp_path / name
    file.write_text(text)
    with pytest.raises(InvalidRequest, match=said):
        asked_for(AddImages(file=str(file)), file_is_ours=True)


def test_a_run_of_a_deployment_reads_no_file_of_its_host() -> None:
    with pytest.raises(InvalidRequest, match="read by the command alone"):
        asked_for(AddImages(file="/etc/passwd"), file_is_ours=False)


def test_a_request_comes_back_as_it_was_sent() -> None:
    sent = AddImages(requests=(volume("a", "file:///a"), AddSystemImage(name="b", image_path="file:///b")))
    back = AddImages.model_validate(sent.model_dump(mode="json"))
    assert back == sent
    assert [type(one) for one in back.requests] == [AddVolumeImage, AddSystemImage]


def test_an_id_is_the_same_each_time_and_of_what_is_added() -> None:
    one, two = (
        asked_for(AddImages(requests=(volume("a", path),)), file_is_ours=True)[0] for path in ("file:///a", "file:///b")
    )
    again = asked_for(AddImages(requests=(volume("a", "file:///a"),)), file_is_ours=True)[0]
    assert one.image_id == again.image_id != two.image_id
