"""A listening socket with a thread that accepts on it."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress


@contextmanager
def accepting(listener: socket.socket, accept: Callable[[], object]) -> Iterator[int]:
    """Run `accept`, which returns once the socket is shut down, in a thread; yield the port.

    The socket is closed after the thread has ended: its number may be that of the next test's socket at once, and a
    thread that was about to accept would answer there as the server that is gone.
    """
    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)
        listener.close()
