"""Read a request's body up to a limit."""

from starlette.requests import Request

from catalog.errors import InvalidRequest


async def body_of(request: Request, most: int) -> bytes:
    """Read no more than `most` bytes into memory. Raises InvalidRequest."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > most:
            raise InvalidRequest("request", f"more than {most} bytes", f"at most {most} bytes of JSON")
    return bytes(body)
