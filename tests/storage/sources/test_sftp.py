"""SSH hosts are known or refused, keys work, a changed host key is never accepted."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from catalog.errors import SourceForbidden, SourceNotFound
from catalog.settings import Settings
from storage.sources import open_source
from tests.services.private_user import USER
from tests.services.sshd import Sshd, make_key, sshd
from tests.storage.sources.reading import fetch


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    folder = tmp_path_factory.mktemp("sshd")
    (folder / "files").mkdir()
    (folder / "files" / "disk.raw").write_bytes(b"image" * 1000)
    with sshd(folder, folder / "files") as server:
        yield server


def with_password(server: Sshd) -> str:
    return f"{server.url}{server.root}/disk.raw"


def with_key(server: Sshd) -> str:
    return f"sftp://{USER}@{server.host}{server.root}/disk.raw"


def test_an_unknown_host_is_refused_under_the_strict_policy(running: Sshd, settings: Settings) -> None:
    with pytest.raises(SourceForbidden, match="host key"):
        open_source(with_password(running), settings).probe()
    assert not settings.known_hosts_file.exists()


def test_a_known_host_is_accepted_under_the_strict_policy(running: Sshd, settings: Settings) -> None:
    settings.known_hosts_file.parent.mkdir(parents=True)
    settings.known_hosts_file.write_text(running.known_hosts_line)
    assert fetch(open_source(with_password(running), settings)) == b"image" * 1000


def test_a_new_host_is_remembered_and_a_changed_one_refused(
    running: Sshd, with_: Callable[..., Settings], tmp_path: Path
) -> None:
    settings = with_(ssh_host_policy="accept-new")
    assert fetch(open_source(with_password(running), settings)) == b"image" * 1000
    assert settings.known_hosts_file.read_text() == running.known_hosts_line
    open_source(with_password(running), with_(ssh_host_policy="strict")).probe()
    make_key(tmp_path / "other")
    kind, key = (tmp_path / "other.pub").read_text().split()[:2]
    settings.known_hosts_file.write_text(f"[127.0.0.1]:{running.port} {kind} {key}\n")
    with pytest.raises(SourceForbidden, match="host key"):
        open_source(with_password(running), settings).probe()


def test_the_worker_s_key_opens_what_has_no_password(running: Sshd, with_: Callable[..., Settings]) -> None:
    settings = with_(ssh_host_policy="accept-new", ssh_key=running.key)
    assert fetch(open_source(with_key(running), settings)) == b"image" * 1000


def test_a_secret_may_hold_the_key(running: Sshd, with_: Callable[..., Settings]) -> None:
    import json

    secret = json.dumps({"user": USER, "private_key": running.key.read_text()})
    settings = with_(ssh_host_policy="accept-new")
    assert fetch(open_source(with_key(running), settings, credentials=secret)) == b"image" * 1000


@pytest.mark.parametrize("passphrase", [None, "another"])
def test_an_encrypted_key_without_its_passphrase_is_said(
    running: Sshd, with_: Callable[..., Settings], tmp_path: Path, passphrase: str | None
) -> None:
    import json

    make_key(tmp_path / "encrypted", "geheim")
    secret = json.dumps({"private_key": (tmp_path / "encrypted").read_text(), "passphrase": passphrase})
    source = open_source(with_key(running), with_(ssh_host_policy="accept-new"), credentials=secret)
    with pytest.raises(SourceForbidden, match="needs its passphrase"):
        source.probe()


def test_what_cannot_log_in_is_said(running: Sshd, with_: Callable[..., Settings], tmp_path: Path) -> None:
    make_key(tmp_path / "stranger")
    accepting = with_(ssh_host_policy="accept-new")
    for settings in (
        accepting,
        accepting.model_copy(update={"ssh_key": tmp_path / "stranger"}),
        accepting.model_copy(update={"ssh_key": tmp_path / "absent"}),
    ):
        with pytest.raises(SourceForbidden):
            open_source(with_key(running), settings).probe()
    with pytest.raises(SourceForbidden, match="names no user"):
        open_source(f"sftp://{running.host}/x", accepting)


def test_a_folder_is_no_image(running: Sshd, with_: Callable[..., Settings]) -> None:
    settings = with_(ssh_host_policy="accept-new")
    with pytest.raises(SourceForbidden, match="regular file"):
        open_source(f"{running.url}{running.root}", settings).probe()
    with pytest.raises(SourceNotFound):
        open_source(f"{running.url}{running.root}/absent", settings).probe()


def test_a_name_that_is_not_utf_8_is_asked_for_as_it_is_escaped(running: Sshd, with_: Callable[..., Settings]) -> None:
    Path(f"{running.root}/caf\udce9.raw").write_bytes(b"image")
    settings = with_(ssh_host_policy="accept-new")
    assert fetch(open_source(f"{running.url}{running.root}/caf%E9.raw", settings)) == b"image"


@pytest.mark.parametrize("text", [b"\xff\xfe", b"127.0.0.1 ssh-ed25519 AAAA\n"])
def test_a_known_hosts_file_that_is_none_is_said(running: Sshd, settings: Settings, text: bytes) -> None:
    settings.known_hosts_file.parent.mkdir(parents=True)
    settings.known_hosts_file.write_bytes(text)
    with pytest.raises(SourceForbidden, match="known"):
        open_source(with_password(running), settings).probe()


def test_a_new_host_that_cannot_be_remembered_is_refused(
    running: Sshd, with_: Callable[..., Settings], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    settings = with_(ssh_host_policy="accept-new", home=tmp_path / "file")
    with pytest.raises(SourceForbidden, match="known_hosts cannot be written") as caught:
        open_source(with_password(running), settings).probe()
    assert not caught.value.retryable
