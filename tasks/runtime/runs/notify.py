"""Prefect events about images, so that automations and other systems can follow."""

import hashlib
import re
from collections.abc import Callable
from contextlib import suppress

import httpx
from prefect.events import emit_event
from prefect.exceptions import PrefectException
from prefect.settings import get_current_settings

from catalog.records import Image
from tasks.runtime.task import has_runs


def _somebody_listens() -> bool:
    """Tell whether there is a server, or a flow's own one: without either, Prefect would start one to be told."""
    settings = get_current_settings()
    return bool(settings.api.url) or settings.server.ephemeral.enabled


def emit(event: str, image: Image, **payload: object) -> None:
    """Emit an event of `catalog.log.events.TOLD` about an image. A server that can't be told never fails an operation."""
    resource = {
        "prefect.resource.id": f"imagewright.image.{image.id}",
        "prefect.resource.name": image.name,
        "imagewright.status": image.status.value,
        "imagewright.owner": image.owner,
    }
    _send(event, resource, {"image_id": image.id, "name": image.name, **payload})


def emit_of_catalog(event: str, **payload: object) -> None:
    """Emit an event of `catalog.log.events.TOLD` about the catalog as a whole."""
    _send(event, {"prefect.resource.id": "imagewright.catalog"}, payload)


def _send(event: str, resource: dict[str, str], payload: dict[str, object]) -> None:
    if not _somebody_listens():
        return
    with suppress(PrefectException, httpx.HTTPError, RuntimeError):
        emit_event(event=event, resource=resource, payload=payload)


def quietly(tell: Callable[[], object]) -> None:
    """Call what makes an artifact, where there is a run to have it; a server that does not answer or refuses is ignored."""
    if not has_runs():
        return
    with suppress(PrefectException, httpx.HTTPError):
        tell()


def key_of(*parts: str) -> str:
    """Return an artifact key (lower-case letters, digits and dashes) for names that may hold anything.

    Different names never share a key: what had to be replaced is told apart by a piece of its digest.
    """
    text = "-".join(parts)
    plain = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    return plain if plain == text else f"{plain}-{hashlib.sha256(text.encode()).hexdigest()[:8]}".strip("-")
