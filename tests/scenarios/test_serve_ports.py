"""`imagewright serve` where a port is taken: nothing of the other program's is touched."""

import socket
import subprocess
from collections.abc import Iterator

import pytest

from tests.services.process import free_port
from tests.services.serving import COMMAND


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]
        other.setblocking(False)
        other.accept()[0].close()  # the probe; nothing else came
        with pytest.raises(BlockingIOError):
            other.accept()


@pytest.mark.parametrize("option", ["--port", "--console-port"])
def test_a_taken_port_is_named_and_its_server_left_alone(home: object, taken: int, option: str) -> None:
    free = "--console-port" if option == "--port" else "--port"
    said = serve(option, str(taken), free, str(free_port()))
    assert said == f"imagewright: port {taken} is taken by another program; give a free one with {option}\n"


def test_both_need_ports_of_their_own(home: object) -> None:
    port = str(free_port())
    assert "give two different ports" in serve("--port", port, "--console-port", port)


def serve(*options: str) -> str:
    ended = subprocess.run([COMMAND, "serve", *options], capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 1
    assert ended.stdout == ""
    return ended.stderr
