"""The command: wrong input is one sentence and exit 2, whoever has read enough is left in peace, an account sees its own."""

import json
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from catalog import open_catalog
from catalog.records import BootCheckReport, ItemOutcome, SyncOutcome, SyncReport, VerifyReport
from flows.command import run
from flows.output import failures
from flows.requests import EditImage, SyncImages
from tests.catalog.samples import an_export
from tests.flows.managed import delete_one, placed

pytestmark = pytest.mark.usefixtures("home")


def told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str
) -> tuple[int, str, str]:
    """Run the command in this process; return its exit status, stdout and stderr."""
    monkeypatch.setattr(sys, "argv", ["imagewright", *words])
    status = 0
    try:
        run()
    except SystemExit as ended:
        status = int(str(ended.code))
    said = capsys.readouterr()
    return status, said.out, said.err


@pytest.mark.parametrize(
    "words",
    [
        "images --status nope", "images --limit -1", "images --limit x", "show", "show a --nonsense", "exports --account",
        "events --verify --account bob", "diff yesterday", "nonsense", "serve --port x", "adopt", "latest",
        "expunge-image", "delete-image --image-ids", "edit-image --image-id a --bios-mode BIOS",
        "export-image --image-id a --image-format exe", "boot-check --image-id a --timeout-s -1",
        "sync-images --source a --target b --changed-since tomorrow", "set-sharing-mode --image-id a --mode all",
        "purge-recycle-bin --policy now", "reclaim-space --nonsense", "create-volume --image-id a", "recover-runs x y",
        "add-system-image --name x", "register-image-storage --name a --kind nfs --url file:///x",
        "clean-up-leftovers --approve maybe", "set-image-storage-state --name a --state Off",
    ],
)  # fmt: skip
def test_wrong_input_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: str
) -> None:
    status, out, err = told(monkeypatch, capsys, *words.split())
    assert (status, out, err.count("\n")) == (2, "", 1), err
    assert err.startswith("imagewright: ")
    assert "internal error" not in err


@pytest.mark.parametrize("words", ["show x", "events x", "lineage x", "latest x", "images --image-storage x"])
def test_what_is_not_there_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: str
) -> None:
    status, out, err = told(monkeypatch, capsys, *words.split())
    assert (status, out, err.count("\n")) == (1, "", 1), err


def test_what_an_account_may_not_see_does_not_exist_for_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    image, binned = placed(owner="bob"), delete_one(placed(owner="bob"))
    with open_catalog() as catalog, catalog.changing(actor="bob") as change:
        change.save_export(an_export(image))

    def listed(account: str, *words: str) -> int:
        status, out, _ = told(monkeypatch, capsys, *words, "--account", account, "--json")
        return 0 if status else len(json.loads(out))

    for words in (["show", image.id], ["events", image.id], ["events", binned.id], ["lineage", image.id]):
        assert listed("bob", *words)
        assert listed("admin", *words)
        unknown = told(monkeypatch, capsys, words[0], "nothing", "--account", "eve")
        status, out, err = told(monkeypatch, capsys, *words, "--account", "eve")
        assert (status, out, err.replace(words[1], "nothing")) == unknown
    assert [listed(who, "exports") for who in ("bob", "admin", "eve")] == [1, 1, 0]
    assert [listed(who, "bin") for who in ("bob", "admin", "eve")] == [1, 1, 0]
    assert listed("admin", "events") > listed("bob", "events") > listed("eve", "events") == 0
    usage = json.loads(told(monkeypatch, capsys, "usage", "--account", "eve", "--json")[1])
    assert [(one["account"], one["images"]) for one in usage] == [("eve", 0)]


def test_a_moment_without_a_zone_is_utc() -> None:
    asked = SyncImages.model_validate({"source": "a", "target": "b", "changed_since": "2026-03-01T12:00"})
    assert asked.changed_since == datetime(2026, 3, 1, 12, tzinfo=UTC)
    edit = EditImage.model_validate({"image_id": "a", "expires_at": "2026-03-01T12:00+02:00"})
    assert edit.expires_at is not None
    assert edit.expires_at.utcoffset() == timedelta(hours=2)


def test_ctrl_c_while_the_command_is_still_loading_is_one_line(home: Path) -> None:
    command = [str(Path(sys.executable).with_name("imagewright")), "images"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        loaded = Path(f"/proc/{process.pid}/maps")
        while "pydantic_core" not in loaded.read_text():
            time.sleep(0.001)
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=60)
    assert (process.returncode, *said) == (130, b"", b"imagewright: interrupted\n")
    assert not list(home.glob("*.db"))


def test_an_image_that_did_not_boot_has_failed() -> None:
    report = BootCheckReport(
        image_id="x", cpu_architecture="x86_64", bios_mode="UEFI", booted=False, evidence="no boot loader was seen",
        seconds=1.0, checked_at=datetime.now(UTC),
    )  # fmt: skip
    assert failures(report) == "failed: image x did not boot in UEFI mode on x86_64: no boot loader was seen"
    assert failures(report.model_copy(update={"booted": True})) == ""


def test_a_report_says_what_failed() -> None:
    items = (
        ItemOutcome(subject="image:a", outcome="failed", reason="it is damaged"),
        ItemOutcome(subject="image:b", outcome="pending", reason="its storage is away"),
    )
    assert failures(VerifyReport(items=items)) == "failed for 1 of 2: image:a: it is damaged"
    assert failures(VerifyReport(items=items[1:])) == ""
    synced = SyncReport(
        source="a", target="b", images=(SyncOutcome(image_id="x", outcome="failed", error="no"),)
    )
    assert failures(synced) == "failed for 1 of 1: image:x: no"


def test_a_reader_that_has_enough_is_no_error(home: Path) -> None:
    placed()
    command = [str(Path(sys.executable).with_name("imagewright")), "images"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert (process.stderr.read(), process.wait()) == (b"", 141)
    assert home.exists()
