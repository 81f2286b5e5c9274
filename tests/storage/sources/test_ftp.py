"""FTP servers that are old, odd or hostile: read as they are, or given up in bounded time with bounded memory."""

import signal
import socket
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from catalog.errors import (
    SourceChanged,
    SourceError,
    SourceForbidden,
    SourceNotFound,
    TransferInterrupted,
    UnsafeImage,
)
from catalog.settings import Settings
from storage.sources import open_plain, open_source
from tests.services.scripted_ftp import ScriptedFtp, scripted_ftp
from tests.services.vsftpd import vsftpd
from tests.storage.sources.reading import fetch

PASSWORD = "s3cr3t"
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


BUSY = b"450 No such file, or it is busy\r\n"
UNKNOWN = b"500 what\r\n"


@pytest.mark.parametrize(
    "answers",
    [{"SIZE": BUSY}, {"SIZE": UNKNOWN, "NLST disk.raw": BUSY}],
    ids=["said of its size", "said of its listing"],
)
@pytest.mark.parametrize(
    ("listing", "error"),
    [
        (b"other.raw\r\n", SourceNotFound),
        (b"", SourceNotFound),
        (b"other.raw\r\n./disk.raw\r\n", TransferInterrupted),
        (b"a name\r\n" * 200_000, TransferInterrupted),  # more than is looked through
    ],
    ids=["not in its folder", "an empty folder", "busy", "a large folder"],
)
def test_450_is_a_busy_file_only_where_its_folder_lists_it(
    settings: Settings, answers: dict[str, bytes], listing: bytes, error: type[Exception]
) -> None:
    with (
        scripted_ftp(ScriptedFtp(answers=answers, send=lambda sock: sock.sendall(listing))) as server,
        pytest.raises(error, match="450 No such file"),
    ):
        open_source(server.url, settings).probe()


def test_450_where_no_folder_is_listed_is_tried_again(settings: Settings) -> None:
    with (
        scripted_ftp(ScriptedFtp(answers={"SIZE": BUSY, "NLST": b"502 no\r\n"})) as server,
        pytest.raises(TransferInterrupted, match="450"),
    ):
        open_source(server.url, settings).probe()


@pytest.mark.parametrize("said", [b"213 \xb2\r\n", b"213 " + b"9" * 5000 + b"\r\n", b"213 -1\r\n", b"213 many\r\n"])
def test_a_size_that_is_no_number_is_unknown(settings: Settings, said: bytes) -> None:
    with scripted_ftp(ScriptedFtp(answers={"SIZE": said})) as server:
        info = open_source(server.url, settings).probe()
    assert (info.size_bytes, info.resumable) == (None, False)


def grows(server: ScriptedFtp, sock: socket.socket) -> None:
    server.answers["SIZE"] = b"213 9\r\n"
    sock.sendall(b"bytes" * 2)


@pytest.mark.parametrize(
    ("size", "send", "error", "sentence"),
    [
        (
            b"213 5\r\n",
            lambda _, sock: endless(b"bytes" * 9000)(sock),
            SourceForbidden,
            "more than the 5 bytes",
        ),
        (b"213 5\r\n", lambda _, sock: sock.sendall(b"bytes!"), SourceForbidden, "more than the 5 bytes"),
        (b"500 what\r\n", lambda _, sock: endless(b"bytes" * 9000)(sock), UnsafeImage, "source.size"),
        (b"213 9\r\n", lambda _, sock: sock.sendall(b"bytes"), TransferInterrupted, "stopped short of 9"),
        (b"213 5\r\n", grows, SourceChanged, "was 5 bytes"),
        (b"213 5\r\n", lambda _, sock: sock.sendall(b""), TransferInterrupted, "stopped short of 5"),
    ],
    ids=["endless", "a byte more", "endless, of unknown size", "short", "growing", "empty"],
)
def test_a_server_that_sends_another_number_of_bytes_gives_no_image(
    with_: Change,
    size: bytes,
    send: Callable[[ScriptedFtp, socket.socket], None],
    error: type[Exception],
    sentence: str,
) -> None:
    server = ScriptedFtp(answers={"SIZE": size})
    server.send = lambda sock: send(server, sock)
    with scripted_ftp(server), pytest.raises(error, match=sentence):
        fetch(open_source(server.url, with_(max_virtual_size=32 << 20, total_timeout_s=0)))


def test_data_come_from_the_server_that_was_checked_whatever_it_says(settings: Settings) -> None:
    with socket.create_server(("127.0.0.2", 0)) as victim, scripted_ftp(ScriptedFtp()) as server:
        high, low = divmod(victim.getsockname()[1], 256)
        for host in ("127,0,0,2", "10,0,0,1"):
            server.answers["PASV"] = b"227 there (%s,%d,%d)\r\n" % (host.encode(), high, low)
            with pytest.raises(TransferInterrupted, match="cannot connect"):
                open_source(server.url, settings).peek(5)
        victim.settimeout(0.2)
        with pytest.raises(TimeoutError):
            victim.accept()


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


@pytest.mark.parametrize("command", ["PASS", "SIZE", "RETR", "PASV"])
def test_an_answer_that_repeats_the_password_does_not_show_it(settings: Settings, command: str) -> None:
    answer = f"{450 if command == 'SIZE' else 530} \x1b[31mnot with {PASSWORD}\r\n".encode()
    answers = {"USER": b"331 and?\r\n", "PASS": b"230 in\r\n", "NLST": b"550 no\r\n", command: answer}
    with scripted_ftp(ScriptedFtp(answers=answers)) as server:
        source = open_source(server.url.replace("ftp://", f"ftp://user:{PASSWORD}@"), settings)
        with pytest.raises(SourceError) as caught:
            fetch(source)
    shown = "".join(traceback.format_exception(caught.value))
    assert "not with ***" in shown
    assert PASSWORD not in shown
    assert "\x1b" not in shown


class Cancelled(BaseException):
    """What a signal is turned into."""


def cancelled(*_: object) -> None:
    raise Cancelled


def test_a_signal_is_heard_while_a_server_owes_its_last_word(with_: Change) -> None:
    """A run that is cancelled ends at once, not when the time for an answer is over."""
    over = threading.Event()

    def send(sock: socket.socket) -> None:
        sock.sendall(b"bytes")
        sock.close()
        over.wait(PATIENCE_S)  # and only then 226

    before, began = signal.signal(signal.SIGUSR1, cancelled), time.monotonic()
    main = threading.main_thread().ident or 0
    try:
        with scripted_ftp(ScriptedFtp(send=send)) as server:
            source = open_plain(server.url, with_(read_timeout_s=PATIENCE_S))
            info = source.probe()
            with source.open(0, info) as stream:
                assert stream.readinto(memoryview(bytearray(5))) == 5
                threading.Timer(0.3, signal.pthread_kill, (main, signal.SIGUSR1)).start()
                with pytest.raises(Cancelled):
                    stream.readinto(memoryview(bytearray(5)))
    finally:
        over.set()
        signal.signal(signal.SIGUSR1, before)
    assert time.monotonic() - began < PATIENCE_S / 2
