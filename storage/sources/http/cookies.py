"""Cookies of one transfer: sent back only to the server that set them, and dropped with it (RFC 6265).

Some download sites set a cookie and redirect to the same address. Domain, Path and lifetime are ignored, except for
deletion: a cookie never leaves its scheme, host and port, so no attribute could widen its scope.
"""

import re
import threading
from collections.abc import Iterable

MAX_COOKIES, MAX_BYTES = 50, 4096  # per server, the least that browsers keep
_PAIR = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+)=([ -:<-~]*)")
_DELETED = re.compile(r";\s*max-age\s*=\s*(?:0|-\d+)\s*(?:;|\Z)|;\s*expires\s*=[^;]*\b(?:1970|1969)\b", re.IGNORECASE)

Origin = tuple[str, str, int]


class CookieJar:
    """The cookies of each server that one transfer contacted. Thread-safe."""

    def __init__(self) -> None:
        self._kept: dict[Origin, dict[str, str]] = {}
        self._lock = threading.Lock()

    def take(self, origin: Origin, set_cookies: Iterable[str]) -> None:
        """Keep the cookies that the server at `origin` sets; malformed, too long or too many ones are dropped."""
        with self._lock:
            for text in set_cookies:
                kept = self._kept.setdefault(origin, {})
                pair = _PAIR.match(text.strip())
                if pair is None or len(text) > MAX_BYTES:
                    continue
                name, value = pair.groups()
                kept.pop(name, None)
                if not _DELETED.search(text) and len(kept) < MAX_COOKIES:
                    kept[name] = value.strip()

    def header(self, origin: Origin) -> dict[str, str]:
        """Return the Cookie field for a request to `origin`, empty if it has set none."""
        with self._lock:
            kept = self._kept.get(origin, {})
            return {"Cookie": "; ".join(f"{name}={value}" for name, value in kept.items())} if kept else {}
