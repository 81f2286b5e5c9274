"""An FTP server that answers as a test says: what a well-behaved one never sends can be sent."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from tests.services.accepting import accepting

PLAIN = {"USER": b"230 in\r\n", "TYPE": b"200 so\r\n", "SIZE": b"213 5\r\n", "MDTM": b"213 20250101000000\r\n",
         "REST": b"350 so\r\n"}  # fmt: skip

Talk = Callable[[socket.socket], None]


@dataclass
class ScriptedFtp:
    """answers: by line or command, besides `PLAIN`. greet, send: what goes out first, and over a data connection."""

    greet: Talk = lambda sock: sock.sendall(b"220 hello\r\n")
    send: Talk = lambda sock: sock.sendall(b"bytes")
    answers: dict[str, bytes] = field(default_factory=dict)
    commands: list[str] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        """A file on the server."""
        return f"ftp://127.0.0.1:{self.port}/disk.raw"

    def converse(self, sock: socket.socket) -> None:
        """Greet and answer until the client goes away."""
        with suppress(OSError), sock, socket.create_server(("127.0.0.1", 0)) as data:
            self.greet(sock)
            for line in sock.makefile("rb"):
                self.commands.append(line.decode("latin-1").strip())
                self._answer(sock, data, self.commands[-1].partition(" ")[0])

    def _answer(self, sock: socket.socket, data: socket.socket, command: str) -> None:
        known, line = PLAIN | self.answers, self.commands[-1]
        if line in known or (command in known and command not in PLAIN):
            if command in ("RETR", "NLST"):
                data.accept()[0].close()
            sock.sendall(known.get(line) or known[command])
        elif command == "PASV":
            high, low = divmod(data.getsockname()[1], 256)
            sock.sendall(b"227 here (127,0,0,1,%d,%d)\r\n" % (high, low))
        elif command in ("RETR", "NLST"):
            sock.sendall(b"150 coming\r\n")
            with suppress(OSError), data.accept()[0] as sending:
                self.send(sending)
            sock.sendall(b"226 done\r\n")
        else:
            sock.sendall(known.get(command, b"500 what\r\n"))


@contextmanager
def scripted_ftp(server: ScriptedFtp) -> Iterator[ScriptedFtp]:
    """Run the server in threads of this process."""
    listener = socket.create_server(("127.0.0.1", 0))
    with accepting(listener, lambda: _accept(listener, server)) as server.port:
        yield server


def _accept(listener: socket.socket, server: ScriptedFtp) -> None:
    with suppress(OSError):
        while True:
            sock = listener.accept()[0]
            threading.Thread(target=server.converse, args=(sock,), daemon=True).start()
