"""`imagewright identity` and `imagewright token`: on this host, without a server, and no password on a command line."""

import io
import json
import sys

import pytest

from catalog import open_catalog
from tests.flows.command.test_command import told

pytestmark = pytest.mark.usefixtures("home", "cheap_passwords")
Patch = pytest.MonkeyPatch
Captured = pytest.CaptureFixture[str]
PASSWORD = "correct horse 7"


def with_password(monkeypatch: Patch, text: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))


def test_a_person_is_added_changed_and_disabled(monkeypatch: Patch, capsys: Captured) -> None:
    with_password(monkeypatch, f"{PASSWORD}\n")
    added = told(
        monkeypatch, capsys, "identity", "add", "alice", "--account", "team", "--role", "user", "--project", "web",
        "--project", "ci", "--password-stdin", "--json",
    )  # fmt: skip
    shown = json.loads(added[1])
    assert (added[0], shown["kind"], shown["role"], shown["projects"]) == (0, "person", "user", ["ci", "web"])
    assert told(monkeypatch, capsys, "identity", "change", "alice", "--role", "viewer")[0] == 0
    assert told(monkeypatch, capsys, "identity", "disable", "alice")[0] == 0
    listed = json.loads(told(monkeypatch, capsys, "identity", "list", "--json")[1])
    assert [(one["name"], one["role"], one["disabled"]) for one in listed] == [("alice", "viewer", True)]
    assert told(monkeypatch, capsys, "identity", "change", "alice", "--enable")[0] == 0
    with open_catalog() as catalog:
        entries = list(catalog.events(subject="identity:alice"))
        assert {entry.door for entry in entries} == {"command"}
        assert all((entry.identity or "").startswith("os:") for entry in entries)
        assert PASSWORD not in str([entry.model_dump() for entry in entries])


def test_a_token_is_shown_once_and_revoked(monkeypatch: Patch, capsys: Captured) -> None:
    assert told(monkeypatch, capsys, "identity", "add", "ci", "--account", "team", "--robot")[0] == 0
    words = (
        "token",
        "create",
        "ci",
        "--verb",
        "read",
        "--image",
        "web-*",
        "--expires-at",
        "2100-01-01",
        "--name",
        "nightly",
        "--json",
    )
    made = json.loads(told(monkeypatch, capsys, *words)[1])
    assert made["token"].startswith(f"iw_{made['id']}_")
    assert made["name"] == "nightly"
    assert made["scope"] == {"verbs": ["read"], "images": ["web-*"], "families": []}
    for listing in (("token", "list"), ("token", "list", "--json", "--identity", "ci")):
        assert made["token"] not in told(monkeypatch, capsys, *listing)[1]
    assert told(monkeypatch, capsys, "token", "revoke", made["id"])[0] == 0


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        ("identity add alice --account team", 2, "--password-stdin where there is no terminal"),
        ("identity add alice --account admin --robot", 2, "with role viewer another account"),
        ("identity add alice --account team --role king --robot", 2, "role"),
        ("identity add alice --robot", 2, "--account: it is missing"),
        ("identity change alice", 2, "--account, --role, --project, --enable or --password"),
        ("identity change alice --role user", 1, "no identity 'alice'"),
        ("token create alice", 1, "no identity 'alice'"),
        ("token create alice --expires-at 2000-01-01", 2, "a moment to come"),
        ("token revoke x", 1, "no token 'x'"),
    ],
)
def test_wrong_usage_is_one_sentence(monkeypatch: Patch, capsys: Captured, words: str, status: int, said: str) -> None:
    with_password(monkeypatch, "")
    ended, out, err = told(monkeypatch, capsys, *words.split())
    assert (ended, out, err.count("\n")) == (status, "", 1)
    assert said in err


def test_a_password_that_is_too_short_is_not_repeated(monkeypatch: Patch, capsys: Captured) -> None:
    with_password(monkeypatch, "hunter2\n")
    words = ["identity", "add", "alice", "--account", "team", "--password-stdin"]
    ended, _, err = told(monkeypatch, capsys, *words)
    assert (ended, "hunter2" in err, "8 to 1024" in err) == (2, False, True)
