"""The console of the settings, served by uvicorn in a thread of this process."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from catalog.settings import load_settings
from console.app import create_app
from console.serving import config
from tests.console.api.v1.people import AUTH
from tests.services.process import free_port


@contextmanager
def served() -> Iterator[int]:
    """Serve it; yield its port."""
    settings, port = load_settings(), free_port()
    server = uvicorn.Server(config(create_app(settings, AUTH), "127.0.0.1", port, settings))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.02)
    yield port
    server.should_exit = True
    thread.join(30)
