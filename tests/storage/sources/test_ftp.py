"""FTP servers that are old, odd or hostile: read as they are, or given up in bounded time with bounded memory."""

import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from catalog.errors import TransferInterrupted
from catalog.settings import Settings
from storage.sources import open_source
from tests.services.scripted_ftp import ScriptedFtp, scripted_ftp
from tests.services.vsftpd import vsftpd
from tests.storage.sources.reading import fetch

Change = Callable[..., Settings]
PATIENCE_S = 20  # of a busy machine; without the limit under test it would be for ever


def endless(piece: bytes, pause_s: float = 0.0) -> Callable[[socket.socket], None]:
    def talk(sock: socket.socket) -> None:
        while True:
            sock.sendall(piece)
            time.sleep(pause_s)

    return talk


@pytest.mark.parametrize(
    ("greet", "sentence"),
    [
        (endless(b"220-welcome\r\n"), "longer than 64 KiB"),
        (endless(b"220 welcome"), "longer than 64 KiB"),
        (endless(b"w", pause_s=0.1), "no byte came in time"),
        (lambda sock: sock.sendall(b"HTTP/1.1 400 Bad Request\r\n"), "HTTP/1.1 400"),
        (lambda sock: sock.shutdown(socket.SHUT_RDWR), "closed"),
    ],
    ids=["lines", "one line", "drip", "another protocol", "nothing"],
)
def test_a_greeting_that_is_none_ends_soon(
    with_: Change, greet: Callable[[socket.socket], None], sentence: str
) -> None:
    started = time.monotonic()
    with (
        scripted_ftp(ScriptedFtp(greet=greet)) as server,
        pytest.raises(TransferInterrupted, match=sentence),
    ):
        open_source(server.url, with_(read_timeout_s=2)).probe()
    assert time.monotonic() - started < PATIENCE_S


def test_a_server_without_size_is_listed_a_little_and_read_in_binary(settings: Settings) -> None:
    listed: list[int] = []

    def send(sock: socket.socket) -> None:
        if server.commands[-1].startswith("RETR"):
            sock.sendall(b"by\r\nt\n")
            return
        for _ in range(10_000):  # 40 MB of names
            sock.sendall(b"a name\r\n" * 500)
            listed.append(4000)

    with scripted_ftp(ScriptedFtp(send=send, answers={"SIZE": b"500 what\r\n"})) as server:
        source = open_source(server.url, settings)
        info = source.probe()
        assert (info.size_bytes, info.resumable) == (None, False)
        assert fetch(source) == b"by\r\nt\n"
    assert not [command for command in server.commands if command.startswith("TYPE") and command != "TYPE I"]
    assert sum(listed) < 30 << 20, "the rest of the listing was not read"


@pytest.mark.parametrize(
    "said", [b"213 \xb2\r\n", b"213 " + b"9" * 5000 + b"\r\n", b"213 -1\r\n", b"213 many\r\n"]
)
def test_a_size_that_is_no_number_is_unknown(settings: Settings, said: bytes) -> None:
    with scripted_ftp(ScriptedFtp(answers={"SIZE": said})) as server:
        info = open_source(server.url, settings).probe()
    assert (info.size_bytes, info.resumable) == (None, False)


def test_a_data_port_that_cannot_be_is_said(settings: Settings) -> None:
    with (
        scripted_ftp(ScriptedFtp(answers={"PASV": b"227 here (127,0,0,1,999,999)\r\n"})) as server,
        pytest.raises(TransferInterrupted, match="port 256743"),
    ):
        open_source(server.url, settings).probe()


def test_a_latin_1_greeting_is_no_obstacle(settings: Settings) -> None:
    with scripted_ftp(ScriptedFtp(greet=lambda sock: sock.sendall(b"220 Gr\xfc\xdfe\r\n"))) as server:
        assert fetch(open_source(server.url, settings)) == b"bytes"


def test_a_latin_1_file_name_is_sent_as_it_is_escaped(settings: Settings, tmp_path: Path) -> None:
    root = tmp_path / "files"
    root.mkdir()
    Path(f"{root}/caf\udce9.raw").write_bytes(b"image")
    with vsftpd(tmp_path / "vsftpd", root) as server:
        assert fetch(open_source(f"{server.url}/caf%E9.raw", settings)) == b"image"
