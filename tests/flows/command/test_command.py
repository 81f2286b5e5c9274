"""The command: wrong input is one sentence and exit 2, whoever has read enough is left in peace, an account sees its own."""

import contextlib
import json
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import get_origin

import pytest
from cyclopts import App, CycloptsError
from prefect.settings import PREFECT_API_URL, temporary_settings

from catalog import open_catalog
from catalog.records import (
    Action,
    BootCheckReport,
    ItemOutcome,
    Plan,
    QualityCheck,
    QualityReport,
    SyncOutcome,
    SyncReport,
    VerifyReport,
)
from flows.command.app import build_app, run
from flows.command.output import failures, print_result
from flows.registry import OPERATIONS
from flows.requests import EditImage, SyncImages
from tests.catalog.samples import an_export
from tests.flows.managed import delete_one, placed

pytestmark = pytest.mark.usefixtures("home")


def told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
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


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("delete-imag x", "there is no command 'delete-imag'; is delete-image meant?"),
        ("images --statsu x", "there is no option '--statsu'; is --status meant?"),
        ("images --limit x", "--limit: 'x' is not allowed; a whole number"),
        ("images a b", "'a' 'b' is more than imagewright images takes; `imagewright images --help` says what is taken"),
        ("reconcile-storages x", "'x' is more than imagewright reconcile-storages takes; `imagewright reconcile-storages --help` says what is taken"),
        ("show", "--image-id: it is missing, or has no value; `imagewright show --help` says what is taken"),
        ("add-system-image --name x file:///y", "'file:///y' comes after an option, so its own name is needed: --image-path; `imagewright add-system-image --help` says what is taken"),
        ("create-volume --image-id a", "name: it is missing, and has to be given"),
        ("set-sharing-mode a all", "mode: 'all' is not allowed; one of none, specified, global"),
        ("recover-runs --stale-after-s -1", "stale_after_s: '-1' is not allowed; 0 or more"),
        ("edit-image a --expires-at soon", "expires_at: 'soon' is not allowed; a moment such as 2026-03-01T12:00:00Z"),
        ("clean-up-leftovers --approve no", "approve: 'no' is not allowed; one of ask, yes"),
        ("add-volume-image a u --empty-image-storages", "image_storages: nothing is not allowed; at least 1"),
        ("diff 2026-01-02 2026-01-01", "at1: '2026-01-02' is not allowed; a moment before 2026-01-01"),
        ("serve --port 70000", "port: 70000 is not allowed; 1 to 65535"),
    ],
)  # fmt: skip
def test_wrong_input_names_what_was_given_and_what_is_allowed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: str, said: str
) -> None:
    assert told(monkeypatch, capsys, *words.split()) == (2, "", f"imagewright: {said}\n")


@pytest.mark.parametrize("name", OPERATIONS)
def test_only_what_has_to_be_given_may_be_written_without_its_name(name: str) -> None:
    fields = OPERATIONS[name].request.model_fields
    required = [field for field, facts in fields.items() if facts.is_required()]
    words = [name.replace("_", "-"), *("x" for _ in required)]
    with contextlib.suppress(CycloptsError):  # a choice among them, such as a state
        _, bound, _ = build_app().parse_args(words, exit_on_error=False, print_error=False)
        assert not required or bound.args[0].model_fields_set == set(required)
    if not any(get_origin(facts.annotation) is tuple for facts in fields.values() if facts.is_required()):
        with pytest.raises(CycloptsError):
            build_app().parse_args([*words, "more"], exit_on_error=False, print_error=False)


def commands(app: App) -> Iterator[App]:
    """Yield all commands, those of groups such as `token create` as well."""
    inner = [app[name] for name in app if not name.startswith("-")]
    if not inner:
        yield app
    for one in inner:
        yield from commands(one)


def test_every_option_says_what_it_is() -> None:
    for command in commands(build_app()):
        for argument in command.assemble_argument_collection():
            assert argument.parameter.help or not argument.show, (command.name, argument.name)


def test_a_server_that_is_not_there_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = "http://127.0.0.1:9/api"
    monkeypatch.setenv("PREFECT_API_URL", nowhere)
    with temporary_settings({PREFECT_API_URL: nowhere}):  # other tests of this process have a server
        status, out, err = told(monkeypatch, capsys, "retry-deferred")
    assert (status, out) == (1, "")
    assert re.fullmatch(
        r"imagewright: the Prefect server at http://127\.0\.0\.1:9/api does not answer "
        r"\((Connection refused|All connection attempts failed)\); start it, or leave PREFECT_API_URL out\n",
        err,
    )


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
    (home / "catalog.db").unlink()
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


def test_people_read_lines_and_not_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    action = Action(verb="edit", subject="image:x", bytes=2048, reason="name 'a' → 'b'")
    print_result(Plan(operation="edit image", actions=(action,)))
    assert capsys.readouterr().out.endswith("actions:\n  edit  image:x  bytes 2048 (2 KiB)  name 'a' → 'b'\n")
    image = placed(name="mine")
    print_result((image,))
    assert capsys.readouterr().out.splitlines()[1].split() == [image.id, "mine", "Ready", "Enabled"]


def test_a_catalog_that_fails_its_checks_has_failed() -> None:
    checks = tuple(QualityCheck(name="x", success=good, sentence=f"it is {good}") for good in (True, False))
    report = QualityReport(suite="catalog", success=False, checks=checks, checked_at=datetime.now(UTC))
    assert failures(report) == "failed for 1 of 2: it is False"
    assert failures(report.model_copy(update={"success": True})) == ""


def test_a_report_says_what_failed() -> None:
    items = (
        ItemOutcome(subject="image:a", outcome="failed", reason="it is damaged"),
        ItemOutcome(subject="image:b", outcome="pending", reason="its storage is away"),
    )
    assert failures(VerifyReport(items=items)) == "failed for 1 of 2: image:a: it is damaged"
    assert failures(VerifyReport(items=items[1:])) == ""
    synced = SyncReport(source="a", target="b", images=(SyncOutcome(image_id="x", outcome="failed", error="no"),))
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


@pytest.mark.parametrize("shut", [">&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_descriptors_are_no_error_and_nothing_of_ours_takes_their_place(home: Path, shut: str) -> None:
    placed()
    command = Path(sys.executable).with_name("imagewright")
    ended = subprocess.run(["/bin/sh", "-c", f"{command} images {shut}"], check=False, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert home.exists()


def test_an_answer_that_finds_no_room_is_one_sentence(home: Path) -> None:
    placed()
    command = Path(sys.executable).with_name("imagewright")
    ended = subprocess.run(
        ["/bin/sh", "-c", f"{command} images >/dev/full"], check=False, capture_output=True, text=True
    )
    assert (ended.returncode, ended.stderr) == (1, "imagewright: No space left on device\n")
    assert home.exists()


def test_a_bad_row_is_named_and_the_others_are_listed(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = placed(b"one" * 512), placed(b"two" * 512)
    with sqlite3.connect(home / "catalog.db") as database:
        database.execute("UPDATE images SET status = 'Sleeping' WHERE id = ?", (bad.id,))
    status, out, err = told(monkeypatch, capsys, "images", "--json")
    assert (status, [image["id"] for image in json.loads(out)]) == (1, [good.id])
    assert f"image:{bad.id}" in err
    assert "its status is 'Sleeping'" in err
    assert "internal error" not in err
    status, _, err = told(monkeypatch, capsys, "show", bad.id)
    assert (status, "its status is 'Sleeping'" in err) == (1, True)
