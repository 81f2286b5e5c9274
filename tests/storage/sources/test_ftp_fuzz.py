"""Whatever an FTP server says, and an SSH server before its handshake is done, ends in bytes or in a typed error."""

import itertools
import random
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from catalog.settings import Settings
from tests.services.accepting import accepting
from tests.services.faulty_sftp import CONTENT, PASSWORD, faulty_sftp
from tests.services.mangled import mangled, many
from tests.services.scripted_ftp import ScriptedFtp, scripted_ftp
from tests.storage.sources.test_http_fuzz import told

ANSWERS = {
    "USER": b"331 and?\r\n",
    "PASS": b"230-in\r\n you are\r\n230 in\r\n",
    "TYPE": b"200 so\r\n",
    "SIZE": b"213 5\r\n",
    "MDTM": b"213 20250101000000\r\n",
    "REST": b"350 so\r\n",
    "NLST": b"450 No such file\r\n",
    "PASV": b"227 here (127,0,0,1,1,2)\r\n",
    "RETR": b"150 coming\r\n226 done\r\n",
}
WORDS = (b"213 ", b"226-", b"421 bye\r\n", b"550 ", b"450 ", b"(127,0,0,1,", b"|||")
SAMPLE, MANY = 120, 5_000


def read_all(settings: Settings, url: str) -> None:
    began, sentence = time.monotonic(), told(settings, url)
    assert sentence.isprintable()
    assert "geheim" not in sentence
    assert time.monotonic() - began < 40


def fuzz(settings: Settings, count: int) -> None:
    chance, quick = random.Random("ftp"), settings.model_copy(update={"read_timeout_s": 0.1})
    server = ScriptedFtp()
    with scripted_ftp(server):
        for number in range(count):
            changed = chance.sample([*ANSWERS, "greeting"], chance.randint(1, 2))
            server.answers = {name: mangled(ANSWERS[name], chance, WORDS) for name in changed if name in ANSWERS}
            greeting = (
                mangled(b"220-hello\r\n220 there\r\n", chance, WORDS) if "greeting" in changed else b"220 hello\r\n"
            )
            server.greet = lambda sock, said=greeting: sock.sendall(said)  # type: ignore[misc]  # mypy knows no default of a lambda
            server.send = [
                lambda sock: sock.sendall(b"bytes"),
                lambda sock: sock.sendall(b"b" * 99),
                lambda _sock: None,
            ][number % 3]
            read_all(quick, server.url)


def test_mangled_replies_of_an_ftp_server_end_in_a_typed_error(settings: Settings) -> None:
    fuzz(settings, SAMPLE)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_great_many_mangled_replies_of_an_ftp_server_end_in_a_typed_error(settings: Settings) -> None:
    fuzz(settings, MANY)


GREETINGS = (
    b"SSH-2.0-OpenSSH_9.2\r\n\x00\x00\x00\x1c\x0a\x14" + bytes(range(16)) + bytes(10),
    b"banner\r\nSSH-2.0-x\r\n\x00\x00\x01\x2c\x06\x14" + b"curve25519-sha256,ssh-ed25519" * 9,
)


@contextmanager
def greeting(answers: Iterator[bytes]) -> Iterator[str]:
    def accept() -> None:
        with suppress(OSError):
            while True:
                with listener.accept()[0] as sock, suppress(OSError):
                    sock.sendall(next(answers))
                    sock.settimeout(0.1)
                    sock.recv(4096)

    listener = socket.create_server(("127.0.0.1", 0))
    with accepting(listener, accept) as port:
        yield f"sftp://user:geheim@127.0.0.1:{port}/disk.raw"


@pytest.mark.parametrize("count", [40, pytest.param(3_000, marks=[pytest.mark.long, pytest.mark.timeout(1800)])])
def test_mangled_handshakes_of_an_ssh_server_end_in_a_typed_error(settings: Settings, count: int) -> None:
    answers = itertools.chain(many(GREETINGS, count, "ssh"), itertools.repeat(b""))
    quick = settings.model_copy(update={"read_timeout_s": 0.5, "ssh_host_policy": "accept-new"})
    with greeting(answers) as url:
        for _ in range(count):
            read_all(quick, url)


def test_files_that_no_server_should_describe_end_in_a_typed_error(settings: Settings) -> None:
    quick = settings.model_copy(update={"read_timeout_s": 0.5, "ssh_host_policy": "accept-new"})
    with faulty_sftp() as server:
        for announced, more in itertools.product((0, 1, len(CONTENT) + 1, 2**63, 2**64 - 1), (0, 9)):
            server.announced, server.more = announced, more
            read_all(quick, server.url)
        for refusal in ("\x1b[31m", "\udcff", "é" * 5000, PASSWORD):
            server.announced, server.refusal = len(CONTENT), refusal
            read_all(quick, server.url)
            assert PASSWORD not in told(quick, server.url)
