"""An SFTP server that lies about its file, or falls silent: bounded time, a clear sentence, no image that is not whole."""

import time
import traceback
from collections.abc import Callable, Iterator

import pytest

from catalog.errors import SourceForbidden, TransferInterrupted
from catalog.settings import Settings
from storage.sources import open_source
from storage.sources.sftp.source import PIECE
from tests.services.faulty_sftp import CONTENT, PASSWORD, FaultySftp, faulty_sftp
from tests.storage.sources.reading import fetch, read_until_broken


@pytest.fixture
def running() -> Iterator[FaultySftp]:
    with faulty_sftp() as server:
        yield server


@pytest.fixture
def accepting(with_: Callable[..., Settings]) -> Settings:
    return with_(ssh_host_policy="accept-new")


def test_an_honest_answer_is_the_file(running: FaultySftp, accepting: Settings) -> None:
    assert fetch(open_source(running.url, accepting)) == CONTENT


@pytest.mark.parametrize("announced", [0, 1, len(CONTENT) - 1])
def test_a_file_longer_than_announced_is_no_image(running: FaultySftp, accepting: Settings, announced: int) -> None:
    running.announced = announced
    with pytest.raises(SourceForbidden, match=f"more than the {announced} bytes it announced") as caught:
        fetch(open_source(running.url, accepting))
    assert not caught.value.retryable, "what was kept would pass for the whole"


def test_a_file_shorter_than_announced_is_said_where_it_ends(running: FaultySftp, accepting: Settings) -> None:
    running.announced = len(CONTENT) + 1
    source = open_source(running.url, accepting)
    with source.open(0, source.probe()) as stream:
        kept, error = read_until_broken(stream)
    assert CONTENT.startswith(kept)
    assert "ends before byte" in str(error)


def test_a_server_that_falls_silent_is_given_up_in_time(running: FaultySftp, accepting: Settings) -> None:
    running.silent_from = 2 * PIECE
    source, began = open_source(running.url, accepting), time.monotonic()
    with source.open(0, source.probe()) as stream:
        kept, error = read_until_broken(stream)
    assert error.offset == len(kept) == 2 * PIECE
    assert time.monotonic() - began < 10 * accepting.read_timeout_s


def test_an_answer_longer_than_asked_for_is_no_part_of_the_file(running: FaultySftp, accepting: Settings) -> None:
    running.more = 2 * PIECE
    with pytest.raises(TransferInterrupted, match="more than was asked for"):
        fetch(open_source(running.url, accepting))


def test_a_refusal_that_repeats_the_password_does_not_show_it(running: FaultySftp, accepting: Settings) -> None:
    running.refusal = f"\x1b[31mno, not with {PASSWORD}"
    with pytest.raises(TransferInterrupted) as caught:
        fetch(open_source(running.url, accepting))
    shown = "".join(traceback.format_exception(caught.value))
    assert "[31mno, not with ***" in shown
    assert PASSWORD not in shown
    assert "\x1b" not in shown
