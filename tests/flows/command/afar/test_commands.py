"""The same commands from afar: the same JSON, the same exit codes, sentences instead of traces; and signing in and out."""

import io
import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from catalog import open_catalog
from catalog.records import Family, Image
from deployments.definitions import ROOT
from flows.command.reading import READING
from tasks.images.export import export
from tests.console.api.v1.people import PASSWORD
from tests.flows.command.test_command import told
from tests.flows.managed import MIB, delete_one, placed
from tests.services.process import free_port
from tests.services.scripted_http import answer, scripted
from tests.services.service import Service, service

pytestmark = pytest.mark.xdist_group("client")

Patch = pytest.MonkeyPatch
Captured = pytest.CaptureFixture[str]
OF_THE_HOST = ("public-key", "export-config")
"""What needs the catalog itself."""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with service(tmp_path_factory.mktemp("service")) as running:
        yield running


@pytest.fixture(scope="module")
def image(served: Service) -> Image:
    delete_one(placed(owner="team"))
    with open_catalog() as catalog, catalog.changing("admin") as change:
        change.save_family(Family(name="ci", created_at=catalog.now(), updated_at=catalog.now()))
    found = placed(os.urandom(MIB) + bytes(2 * MIB), owner="team", name="ci-disk", family="ci", image_type="System",
                   cpu_architecture="x86_64")  # fmt: skip
    export.fn(found.id, "team", None, None)
    return found


@pytest.fixture
def signed_in(served: Service, monkeypatch: Patch) -> Service:
    monkeypatch.setenv("IMAGEWRIGHT_SERVER", served.url)
    monkeypatch.setenv("IMAGEWRIGHT_TOKEN", served.tokens["root"])
    return served


@pytest.mark.parametrize("name", READING)
def test_every_listing_is_the_same_from_afar(
    served: Service, image: Image, monkeypatch: Patch, capsys: Captured, name: str
) -> None:
    given = {
        "show": [image.id],
        "lineage": [image.id],
        "latest": ["ci"],
        "diff": ["2026-01-01"],
        "promotions": ["ci"],
    }.get(name, [])
    monkeypatch.delenv("PREFECT_API_URL", raising=False)  # of another test's server, which works on another catalog
    for words in ([name, *given, "--json"], [name, *given]):
        monkeypatch.delenv("IMAGEWRIGHT_SERVER", raising=False)
        monkeypatch.delenv("IMAGEWRIGHT_TOKEN", raising=False)
        here = told(monkeypatch, capsys, *words)
        monkeypatch.setenv("IMAGEWRIGHT_SERVER", served.url)
        monkeypatch.setenv("IMAGEWRIGHT_TOKEN", served.tokens["root"])
        status, out, err = told(monkeypatch, capsys, *words)
        if name in OF_THE_HOST:
            assert (status, "does not offer" in err) == (1, True)
        else:
            assert (status, out, err) == here
            assert status == 0


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        ("show nothing", 1, "no image 'nothing'"),
        ("images --status Sleeping", 2, "status"),
        ("images --image-storage x", 1, "no image storage 'x'"),
        ("images --account team", 0, ""),
        ("events --verify", 1, "does not offer events --verify"),
        ("expunge-image --image-ids x", 1, "x"),
        ("add-volume-image --name x --image-path ./none.raw", 2, "a file on this machine that is there"),
        ("add-volume-image --name x --image-path http://a/x --patience-s -1", 2, "patience_s"),
        ("identity list", 0, ""),
        ("token create nobody-there", 1, "no identity"),
        ("download nothing -o x", 1, "no image 'nothing'"),
        ("download x", 2, "--output"),
        ("login ftp://x", 2, "an address such as https://images.example"),
        ("login http://127.0.0.1:1 --oidc --token", 2, "one of them"),
        ("login http://127.0.0.1:1 word", 2, "--token before a token"),
    ],
)  # fmt: skip
def test_exit_codes_and_sentences_are_the_same(
    signed_in: Service, monkeypatch: Patch, capsys: Captured, words: str, status: int, said: str
) -> None:
    ended, _, err = told(monkeypatch, capsys, *words.split())
    assert (ended, said in err) == (status, True), err
    assert "internal error" not in err
    assert err.count("\n") <= 1


def test_a_service_that_is_away_is_one_sentence(monkeypatch: Patch, capsys: Captured) -> None:
    monkeypatch.setenv("IMAGEWRIGHT_SERVER", f"http://127.0.0.1:{free_port()}/api/v1/")
    monkeypatch.setenv("IMAGEWRIGHT_TOKEN", "iw_x")
    for words in ("images", "add-volume-image --name x --image-path http://a/x", "whoami"):
        status, out, err = told(monkeypatch, capsys, *words.split())
        assert (status, out, err.count("\n"), "can't be reached: Connection refused" in err) == (1, "", 1, True)


def sign_in(monkeypatch: Patch, capsys: Captured, text: str, *words: str) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))
    return told(monkeypatch, capsys, "login", *words)


def test_a_person_signs_in_with_a_password_and_out(
    served: Service, image: Image, tmp_path: Path, monkeypatch: Patch, capsys: Captured
) -> None:
    own = tmp_path / "own"
    monkeypatch.setenv("IMAGEWRIGHT_HOME", str(own))
    status, out, err = sign_in(monkeypatch, capsys, f"user\n{PASSWORD}\n", served.url)
    assert (status, err) == (0, "")
    assert "as user, user of account team" in out
    kept = json.loads((own / "login.json").read_text())
    assert stat.S_IMODE((own / "login.json").stat().st_mode) == 0o600
    assert (kept["url"], kept["is_session"]) == (served.url, True)
    who = json.loads(told(monkeypatch, capsys, "whoami", "--json")[1])
    assert (who["name"], who["account"]) == ("user", "team")
    shown = json.loads(told(monkeypatch, capsys, "show", image.id, "--json")[1])
    assert shown["name"] == "ci-disk"
    assert json.loads(told(monkeypatch, capsys, "logout", "--json")[1]) == {"url": served.url}
    assert told(monkeypatch, capsys, "logout")[:2] == (0, "nobody was signed in\n")
    assert not (own / "login.json").exists()
    (own / "login.json").write_text(json.dumps(kept))  # the session is over, wherever its token still lies
    status, _, err = told(monkeypatch, capsys, "whoami")
    assert (status, "sign in first" in err) == (1, True)
    assert [file.name for file in own.iterdir()] == ["login.json"]  # no catalog was made


@pytest.mark.parametrize("how", ["an argument", "before the address", "standard input", "the environment"])
def test_a_robot_signs_in_with_its_token(
    served: Service, tmp_path: Path, monkeypatch: Patch, capsys: Captured, how: str
) -> None:
    monkeypatch.setenv("IMAGEWRIGHT_HOME", str(tmp_path / "own"))
    token = served.tokens["scoped robot"]
    words = [served.url, "--token"]
    if how == "the environment":
        monkeypatch.setenv("IMAGEWRIGHT_TOKEN", token)
    elif how == "before the address":
        words = ["--token", token, served.url]
    elif how == "an argument":
        words.append(token)
    status, out, _ = sign_in(monkeypatch, capsys, f"{token}\n", *words, "--json")
    assert (status, json.loads(out)["name"]) == (0, "robot")
    monkeypatch.delenv("IMAGEWRIGHT_TOKEN", raising=False)
    assert json.loads(told(monkeypatch, capsys, "whoami", "--json")[1])["scope"]["images"] == ["ci-*"]


DEVICE = {
    "device": "sealed", "user_code": "WDJB-MJHT\x1b[2J", "verification_uri": "https://id.example/device", "expires_in": 30, "interval": 1,
}  # fmt: skip


@pytest.mark.parametrize("typed", [True, False])
def test_a_person_signs_in_with_a_code_that_is_typed_elsewhere(
    home: Path, monkeypatch: Patch, capsys: Captured, typed: bool
) -> None:
    who = {"name": "alice", "kind": "person", "account": "team", "role": "user", "scope": {}}
    answers = {
        "/session/device": [answer(json.dumps({**DEVICE, "expires_in": 30 if typed else 2}).encode())],
        "/session/device/token": [answer(b'{"state": "pending"}', "202 Accepted")] * (2 if typed else 9)
        + [answer(b'{"token": "iw_s", "expires_at": "2100-01-01T00:00:00Z"}')],
        "/whoami": [answer(json.dumps(who).encode())],
    }
    with scripted(lambda head: iter([answers[head.split()[1].removeprefix("/api/v1")].pop(0)])) as server:
        status, out, err = told(monkeypatch, capsys, "login", server.url, "--oidc")
    assert "open https://id.example/device in a browser, on any machine, and type WDJB-MJHT [2J" in err
    if typed:
        assert (status, "as alice, user of account team" in out) == (0, True)
        assert json.loads((home / "login.json").read_text())["is_session"]
    else:
        assert (status, "nobody typed the code" in err, (home / "login.json").exists()) == (1, True, False)


@pytest.mark.parametrize(
    ("text", "words", "status", "said"),
    [
        ("user\nwrong\n", (), 1, "no person who may sign in"),
        ("", (), 2, "name: nothing is not allowed"),
        ("user\n", (), 2, "password: nothing is not allowed"),
        ("iw_wrong\n", ("--token",), 1, "sign in first"),
    ],
)
def test_who_is_not_known_is_not_signed_in(
    served: Service, tmp_path: Path, monkeypatch: Patch, capsys: Captured,
    text: str, words: tuple[str, ...], status: int, said: str,
) -> None:  # fmt: skip
    monkeypatch.setenv("IMAGEWRIGHT_HOME", str(tmp_path / "own"))
    ended, out, err = sign_in(monkeypatch, capsys, text, served.url, *words)
    assert (ended, out, said in err) == (status, "", True), err
    assert not (tmp_path / "own" / "login.json").exists()


def test_an_image_is_downloaded(
    signed_in: Service, image: Image, tmp_path: Path, monkeypatch: Patch, capsys: Captured
) -> None:
    status, out, _ = told(monkeypatch, capsys, "download", image.id, "-o", str(tmp_path / "x"), "--json")
    assert (status, json.loads(out)["sha256"]) == (0, image.sha256)
    status, out, _ = told(monkeypatch, capsys, "download", image.id, "--output", str(tmp_path / "y"))
    assert f"sha256:{image.sha256} as recorded" in out
    assert (tmp_path / "x").read_bytes() == (tmp_path / "y").read_bytes()


LOOK = """
import sys
from flows.command.app import build_app
from flows.client.client import Client
build_app("images").parse_args(["images"])
print(sorted({name.partition(".")[0] for name in sys.modules} & set(sys.argv[1:])))
print("flows.requests" in sys.modules)
"""


def test_a_command_from_afar_loads_no_server_no_database_and_no_storage() -> None:
    heavy = ["prefect", "sqlalchemy", "httpx", "aiohttp", "storage", "tasks", "fastapi", "rich"]
    done = subprocess.run([sys.executable, "-c", LOOK, *heavy], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.splitlines() == ["[]", "False"]


def test_people_are_administered_from_afar(signed_in: Service, monkeypatch: Patch, capsys: Captured) -> None:
    words = ("identity", "add", "far-robot", "--account", "team", "--robot", "--json")
    assert json.loads(told(monkeypatch, capsys, *words)[1])["kind"] == "robot"
    made = json.loads(told(monkeypatch, capsys, "token", "create", "far-robot", "--image", "ci-*", "--json")[1])
    assert made["token"].startswith("iw_")
    assert made["id"] in told(monkeypatch, capsys, "token", "list")[1]
    assert told(monkeypatch, capsys, "token", "revoke", made["id"])[0] == 0
    assert told(monkeypatch, capsys, "identity", "change", "far-robot", "--role", "user")[0] == 0
    assert told(monkeypatch, capsys, "identity", "disable", "far-robot")[0] == 0
    with open_catalog() as catalog:
        assert catalog.identity("far-robot").disabled
