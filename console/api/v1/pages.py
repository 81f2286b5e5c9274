"""Pages of listings, and the cursors that lead from one to the next.

A cursor is the place of the last row examined, which the caller may not be allowed to see: so it is encrypted, and
valid only for the same listing, filters and identity.
"""

import hmac
import json
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from catalog.errors import InvalidRequest
from catalog.files import made_once
from catalog.records import Record
from catalog.settings import Settings
from catalog.store.record_kinds import Place, RecordKind

R = TypeVar("R", bound=Record)
USUAL, MOST = 100, 500
LOOKED_AT = 2000
"""Most rows examined for one page: a caller who may see few of many rows gets shorter pages instead of a long wait."""
NONCE_BYTES, KEY_BYTES = 12, 32


class Page(Record, Generic[R]):
    """A part of a listing.

    next: the cursor of what follows, null at the end; a page before that may be short or empty.
    """

    items: tuple[R, ...]
    next: str | None = None


@dataclass(frozen=True, slots=True)
class Cursors:
    """The cursors of one listing. about: what they are valid for: listing, filters, identity."""

    key: bytes
    about: bytes

    def read(self, text: str | None) -> Place | None:
        """Return the place in a cursor. Raises InvalidRequest if it does not belong to this listing."""
        if text is None:
            return None
        try:
            raw = urlsafe_b64decode(text.encode())
            plain = AESGCM(self.key).decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], self.about)
        except (ValueError, InvalidTag) as error:
            raise InvalidRequest("cursor", text[:40], "the `next` of a page of the same listing and filters") from error
        return tuple(
            datetime.fromisoformat(part["at"]) if isinstance(part, dict) else part for part in json.loads(plain)
        )

    def write(self, place: Place) -> str:
        """Return the cursor of a place."""
        parts = [{"at": part.isoformat()} if isinstance(part, datetime) else part for part in place]
        nonce = secrets.token_bytes(NONCE_BYTES)
        sealed = AESGCM(self.key).encrypt(nonce, json.dumps(parts).encode(), self.about)
        return urlsafe_b64encode(nonce + sealed).decode()


def cursors(settings: Settings, *about: object) -> Cursors:
    """Return the cursors of a listing, encrypted with this installation's key."""
    key = made_once(settings.home / "console.key", secrets.token_bytes(KEY_BYTES))
    return Cursors(hmac.digest(key, b"cursors", "sha256"), repr(about).encode())


def cut(
    found: Iterable[R], seen: Callable[[R], bool], limit: int, kind: RecordKind[Record]
) -> tuple[Sequence[R], Place | None]:
    """Return a page of the rows that the caller may see, and the place where it ends, None at the end of the listing.

    found: the rows from the start of the page on.
    """
    items: list[R] = []
    place: Place | None = None
    for looked_at, record in enumerate(found):
        if len(items) == limit or looked_at == LOOKED_AT:
            return items, place
        place = tuple(getattr(record, field) for field in kind.order())
        if seen(record):
            items.append(record)
    return items, None
