"""One POST under the address policy of sources: checked on the connection, no proxy, no redirect followed."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from catalog.errors import SourceForbidden, TransferInterrupted
from catalog.settings import Settings
from storage.sources.http.exchange import read_head, retry_after_s
from storage.sources.network.addresses import policy
from storage.sources.network.wire import Broken, dial
from storage.sources.urls import SourceUrl, parse_url

SCHEMES = ("http", "https")


@dataclass(frozen=True, slots=True)
class Posted:
    """The answer. retry_after_s: the delay it asked for before another request."""

    status: int
    retry_after_s: float | None


def postable(url: str) -> SourceUrl:
    """Return the address of a POST. Raises SourceForbidden for an unusable URL."""
    parsed = parse_url(url)
    if parsed.scheme not in SCHEMES:
        raise SourceForbidden(parsed.masked, "only http:// and https:// can be told anything")
    return parsed


def post(url: str, body: bytes, headers: Mapping[str, str], settings: Settings, limit_s: float) -> Posted:
    """Send a body and read the head of the answer; the rest is not read.

    limit_s: the longest wait for the answer. Raises SourceForbidden, SourceNotFound, TransferInterrupted.
    """
    to = postable(url)
    given = {
        "Host": to.netloc, "User-Agent": "imagewright", "Content-Length": str(len(body)), "Connection": "close", **headers
    }  # fmt: skip
    lines = [f"POST {to.target} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items())]
    wire = dial(to, policy(settings), limit_s, settings.ca_file, brief=True)
    try:
        wire.send(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body)
        answer = read_head(wire, to, time.monotonic())
    except Broken as error:
        raise TransferInterrupted(to.masked, 0, str(error)) from error
    finally:
        wire.close()
    return Posted(answer.status, retry_after_s(answer.header("Retry-After"), answer.header("Date")))
