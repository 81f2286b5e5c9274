"""Prefect events about images, so that automations and other systems can follow."""

from contextlib import suppress

import httpx
from prefect.events import emit_event
from prefect.exceptions import PrefectException
from prefect.settings import get_current_settings

from catalog.records import Image


def _somebody_listens() -> bool:
    """Tell whether there is a server, or a flow's own one: without either, Prefect would start one to be told."""
    settings = get_current_settings()
    return bool(settings.api.url) or settings.server.ephemeral.enabled


def emit(event: str, image: Image, **payload: object) -> None:
    """Emit `imagewright.<event>` about an image. A server that can't be told never fails an operation."""
    if not _somebody_listens():
        return
    with suppress(PrefectException, httpx.HTTPError, RuntimeError):
        emit_event(
            event=f"imagewright.{event}",
            resource={
                "prefect.resource.id": f"imagewright.image.{image.id}",
                "prefect.resource.name": image.name,
                "imagewright.status": image.status.value,
                "imagewright.owner": image.owner,
            },
            payload={"image_id": image.id, "name": image.name, **payload},
        )
