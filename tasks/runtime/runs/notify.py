"""Emit Prefect events about images, which automations and other systems can follow."""

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
    """Tell whether there is a Prefect server, or a flow's own one; without either, Prefect would start one."""
    settings = get_current_settings()
    return bool(settings.api.url) or settings.server.ephemeral.enabled


def emit(event: str, image: Image, **payload: object) -> None:
    """Emit an event of `catalog.log.events.TOLD` about an image. An unreachable server never fails an operation."""
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
    """Create an artifact by `tell` if there is a run; ignore a server that does not answer or refuses."""
    if not has_runs():
        return
    with suppress(PrefectException, httpx.HTTPError):
        tell()


def key_of(*parts: str) -> str:
    """Return an artifact key (lower-case letters, digits and dashes) for names with any characters.

    Different names never share a key: a name with replaced characters gets a part of its digest.
    """
    text = "-".join(parts)
    plain = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    return plain if plain == text else f"{plain}-{hashlib.sha256(text.encode()).hexdigest()[:8]}".strip("-")
