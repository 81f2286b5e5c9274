"""Artifacts never fail an operation: a server that can't be told is told nothing."""

import hashlib
import re
from collections.abc import Callable
from contextlib import suppress

import httpx
from prefect.exceptions import PrefectException


def quietly(tell: Callable[[], object]) -> None:
    """Call what makes an artifact; a server that does not answer or refuses is ignored."""
    with suppress(PrefectException, httpx.HTTPError):
        tell()


def key_of(*parts: str) -> str:
    """Return an artifact key (lower-case letters, digits and dashes) for names that may hold anything.

    Different names never share a key: what had to be replaced is told apart by a piece of its digest.
    """
    text = "-".join(parts)
    plain = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    return plain if plain == text else f"{plain}-{hashlib.sha256(text.encode()).hexdigest()[:8]}".strip("-")
