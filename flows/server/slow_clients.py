"""Cut off connections that begin a request and stall; slow but steady senders are not affected.

| the server waits for | how long |
|---|---|
| the head of a request | `patience_s` in all |
| the body of an upload | four times that without a byte |
| any other body | four times that in all |
| the rest of a body whose request was answered | `patience_s` in all |
| a reader of an answer | four times that without a byte taken |

uvicorn itself only limits how long a connection stays idle between two requests. A connection that became a WebSocket
is not watched any more: the guard waits for its first message.
"""

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

BODY_TIMES = 4
CHECK_S = 0.5
MOST_WAITED_FOR = 256
"""Most connections without a complete request, uploads aside: past this the oldest is cut off for the newest."""


class Watched(H11Protocol):
    """A connection of uvicorn that is cut off when it stalls. uploads: prefixes of their paths, empty for none."""

    patience_s = 15.0
    uploads: str | tuple[str, ...] = ""
    streams: tuple[str, ...] = ()
    """Paths of endless answers, which are closed when the server shuts down; it waits for all others."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the watch."""
        super().connection_made(transport)
        self._now = asyncio.get_running_loop().time
        self.begun = self._heard = self._taken = self._now()
        self._seen: RequestResponseCycle | None = None
        self._between, self._unsent = False, 0
        self._make_room()
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Note the time of arrival."""
        self._heard = self._now()
        if self._between:  # the next request begins
            self._between, self.begun = False, self._heard
        super().data_received(data)
        self._note_request()

    def on_response_complete(self) -> None:
        """Restart the clock: the rest of a body, or the next request, comes now."""
        super().on_response_complete()
        self.begun, self._between = self._now(), not self.cycle.more_body
        self._note_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """End the watch."""
        self._check.cancel()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """Close a connection with an endless answer; the server waits for all others."""
        super().shutdown()
        if self._seen is not None and self._seen.scope["path"] in self.streams:
            self.transport.close()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """End the watch: another protocol takes over."""
        self._check.cancel()
        super().handle_websocket_upgrade(event)

    @property
    def waited_for(self) -> bool:
        """Tell whether the server waits for a request that is no upload."""
        cycle = self._seen
        if self.transport.is_closing():
            return False
        return cycle is None or cycle.response_complete or (cycle.more_body and not self._uploads(cycle))

    def _note_request(self) -> None:
        """Restart the clock when a head is complete: its body has a time of its own."""
        if self.cycle is not self._seen:
            self._seen, self.begun = self.cycle, self._now()

    def _watch(self) -> None:
        if self._deadline() <= self._now():
            self.transport.abort()
        self._check = asyncio.get_running_loop().call_later(CHECK_S, self._watch)

    def _deadline(self) -> float:
        """Return when this connection is cut off unless something happens."""
        cycle = self._seen
        if cycle is None or cycle.response_complete:
            return self.begun + self.patience_s
        if not cycle.more_body:
            return self._reader_deadline()
        if self.flow.read_paused:  # the server is the slow side
            self._heard = self._now()
        return (self._heard if self._uploads(cycle) else self.begun) + BODY_TIMES * self.patience_s

    def _reader_deadline(self) -> float:
        """Return when an answer that is not being read is given up; a request in progress has no limit."""
        unsent = self.transport.get_write_buffer_size()
        if not self.flow.write_paused or unsent != self._unsent:
            self._unsent, self._taken = unsent, self._now()
        return self._taken + BODY_TIMES * self.patience_s

    def _make_room(self) -> None:
        """Cut off the oldest stalled connection if there are too many, so that they can't keep others out."""
        waited = [other for other in self.connections if isinstance(other, Watched) and other.waited_for]
        if len(waited) > MOST_WAITED_FOR:
            oldest = min(waited, key=lambda other: other.begun)
            oldest.transport.abort()

    def _uploads(self, cycle: RequestResponseCycle) -> bool:
        """Tell whether a request carries bytes of an upload."""
        path = cycle.scope["path"]
        return bool(self.uploads) and cycle.scope["method"] == "PATCH" and path.startswith(self.uploads)

    @classmethod
    def with_patience(
        cls, patience_s: float, uploads: str | tuple[str, ...] = "", streams: tuple[str, ...] = ()
    ) -> "type[Watched]":
        """Return a subclass with these settings."""
        return type(cls.__name__, (cls,), {"patience_s": patience_s, "uploads": uploads, "streams": streams})
