"""Seal values that clients bring back: encrypted, authenticated, for one purpose, with an expiry."""

import json
import secrets
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from catalog import open_catalog
from catalog.files import made_once
from catalog.settings import Settings

NONCE_BYTES, KEY_BYTES = 12, 32
KEY_NAME = "console"


@dataclass(frozen=True, slots=True)
class Seal:
    """The seal for one purpose. key: 32 bytes; about: the purpose."""

    key: bytes
    about: bytes

    def write(self, said: Mapping[str, str], until: float) -> str:
        """Return a sealed value, which clients can neither read nor change. until: seconds since 1970."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        sealed = AESGCM(self.key).encrypt(nonce, json.dumps({"until": until, "said": dict(said)}).encode(), self.about)
        return urlsafe_b64encode(nonce + sealed).decode().rstrip("=")  # padding would have to be quoted in a cookie

    def read(self, text: str) -> Mapping[str, str] | None:
        """Return the value; None if it is not ours, for another purpose, or expired."""
        try:
            raw = urlsafe_b64decode(text.encode() + b"=" * (-len(text) % 4))
            plain = json.loads(AESGCM(self.key).decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], self.about))
        except (ValueError, InvalidTag):
            return None
        return cast("Mapping[str, str]", plain["said"]) if plain["until"] > time.time() else None


def installation_key(settings: Settings) -> bytes:
    """Return the installation's key, created on first use; hosts that share a catalog keep it there."""
    file = settings.home / "console.key"
    if not settings.catalog_is_shared:
        return made_once(file, secrets.token_bytes(KEY_BYTES))
    proposed = file.read_bytes() if file.exists() else secrets.token_bytes(KEY_BYTES)  # existing links stay valid
    with open_catalog(settings.catalog_address) as catalog, catalog.changing(actor="system") as change:
        return bytes.fromhex(change.shared_key(KEY_NAME, proposed.hex()))
