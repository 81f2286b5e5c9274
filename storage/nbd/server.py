"""NBD's server side over a socket pair: a program reads our bytes, or sends us bytes, without network or key.

https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md: fixed newstyle handshake, simple replies. The peer
has read hostile bytes, so nothing it sends is trusted: lengths are bounded, offsets are checked, and the first invalid
message ends the connection.
"""

import socket
import struct
from abc import ABC, abstractmethod
from collections.abc import Callable
from threading import Thread
from typing import NamedTuple, Protocol

MAX_REQUEST = 32 << 20  # the protocol's own bound, which qemu respects
MAX_OPTION = 4096

_GREETING = struct.pack(">8s8sH", b"NBDMAGIC", b"IHAVEOPT", 0b11)
_OPTION = struct.Struct(">8sII")
_OPTION_REPLY = struct.Struct(">QIII")
_REQUEST = struct.Struct(">IHHQQI")
_REPLY = struct.Struct(">IIQ")
_OPTION_REPLY_MAGIC, _REQUEST_MAGIC, _REPLY_MAGIC = 0x3E889045565A9, 0x25609513, 0x67446698
_INFO, _GO = 6, 7  # the only options we need
_ACK, _INFORMATION, _UNSUPPORTED = 1, 3, 0x80000001
_READ, _WRITE, _ZEROES = 0, 1, 6
_IS_READ_ONLY, _TAKES_ZEROES = 0b0000011, 0b1000001

Receive = Callable[[int], bytes]
"""Returns this many of the bytes that the peer sends."""


class Readable(Protocol):
    """A source that a peer may read."""

    size_bytes: int

    def read_at(self, offset: int, size: int) -> bytes:
        """Return `size` bytes from `offset`, fewer only at the end."""
        ...


class Taker(Protocol):
    """A sink that a peer may write to."""

    size_bytes: int

    def take(self, offset: int, length: int, receive: Receive) -> None:
        """Take bytes; all of them must be received."""
        ...

    def take_zeros(self, offset: int, length: int) -> None:
        """Take a run of zeros."""
        ...


class _Request(NamedTuple):
    magic: int
    flags: int
    kind: int
    cookie: int
    offset: int
    length: int


class _Ended(Exception):  # no failure: the peer left, or sent an invalid message
    pass


class Served(ABC):
    """A socket pair with a thread of ours at one end; the other end is for a program about to start."""

    def __init__(self, size_bytes: int, flags: int) -> None:
        self._size_bytes, self._flags = size_bytes, flags
        self._ours, self._theirs = socket.socketpair()
        self._failure: BaseException | None = None
        self._thread = Thread(target=self._run, name="nbd", daemon=True)
        self._thread.start()

    @property
    def descriptor(self) -> int:
        """The program's end."""
        return self._theirs.fileno()

    def end(self) -> BaseException | None:
        """Close our end once the program is gone, wait for the thread, and return its failure. Safe to repeat."""
        self._theirs.close()
        self._thread.join()
        return self._failure

    @abstractmethod
    def _serve(self, request: _Request) -> None:
        """Carry out a request, which is within the checked bounds, and reply."""

    def _run(self) -> None:
        try:
            self._negotiate()
            while True:
                self._answer(_Request(*_REQUEST.unpack(self._receive(_REQUEST.size))))
        except (_Ended, OSError):
            return
        finally:
            self._ours.close()

    def _negotiate(self) -> None:
        self._ours.sendall(_GREETING)
        self._receive(4)
        option = 0
        while option != _GO:
            magic, option, length = _OPTION.unpack(self._receive(_OPTION.size))
            if magic != b"IHAVEOPT" or length > MAX_OPTION:
                raise _Ended
            self._receive(length)
            if option in {_INFO, _GO}:
                export = struct.pack(">HQH", 0, self._size_bytes, self._flags)
                self._reply_option(option, _INFORMATION, export)
                self._reply_option(option, _ACK)
            else:
                self._reply_option(option, _UNSUPPORTED)

    def _reply_option(self, option: int, kind: int, data: bytes = b"") -> None:
        self._ours.sendall(_OPTION_REPLY.pack(_OPTION_REPLY_MAGIC, option, kind, len(data)) + data)

    def _answer(self, request: _Request) -> None:
        bounded = request.offset + request.length <= self._size_bytes
        if request.magic != _REQUEST_MAGIC or not bounded:
            raise _Ended
        try:
            self._serve(request)
        except (_Ended, OSError):
            raise
        except BaseException as failure:
            # the program fails without knowing why: its caller has to get this error instead
            self._failure = failure
            raise _Ended from failure

    def _reply(self, request: _Request, data: bytes = b"") -> None:
        head = _REPLY.pack(_REPLY_MAGIC, 0, request.cookie)
        left = len(head) + len(data) - self._ours.sendmsg([head, data])
        if left:
            self._ours.sendall((head + data)[-left:] if left > len(data) else memoryview(data)[-left:])

    def _receive(self, length: int) -> bytes:
        data = self._ours.recv(length, socket.MSG_WAITALL) if length else b""
        while len(data) < length:  # it waits for all only as long as no signal arrives
            more = self._ours.recv(length - len(data), socket.MSG_WAITALL)
            if not more:
                raise _Ended
            data += more
        return data


class Given(Served):
    """Bytes that a program may read."""

    def __init__(self, source: Readable) -> None:
        self._source = source
        super().__init__(source.size_bytes, _IS_READ_ONLY)

    def _serve(self, request: _Request) -> None:
        if request.kind != _READ or request.length > MAX_REQUEST:
            raise _Ended
        self._reply(request, self._source.read_at(request.offset, request.length))


class Taken(Served):
    """A sink that a program may write to."""

    def __init__(self, target: Taker) -> None:
        self._target = target
        super().__init__(target.size_bytes, _TAKES_ZEROES)

    def _serve(self, request: _Request) -> None:
        if request.kind == _ZEROES:
            self._target.take_zeros(request.offset, request.length)
        elif request.kind == _WRITE and request.length <= MAX_REQUEST:
            self._target.take(request.offset, request.length, self._receive)
        else:
            raise _Ended
        self._reply(request)
