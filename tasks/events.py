"""Prefect events about images, so that automations and other systems can follow."""

from contextlib import suppress

import httpx
from prefect.events import emit_event
from prefect.exceptions import PrefectException

from catalog.records import Image


def emit(event: str, image: Image, **payload: object) -> None:
    """Emit `imagewright.<event>` about an image. A server that can't be told never fails an operation."""
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
