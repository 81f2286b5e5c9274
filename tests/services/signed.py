"""Requests to a Prefect server that asks for a password and proof of CSRF, as a client of its own makes them."""

import json
import urllib.request
from base64 import b64encode
from functools import lru_cache
from uuid import uuid4


def signed(url: str, auth: str, data: bytes | None = None) -> urllib.request.Request:
    """Return a request for a path below `…/api/`: POST with data, GET without."""
    api = url[: url.index("/api/") + len("/api")]
    headers = {"content-type": "application/json", **basic(auth)}
    return urllib.request.Request(url, data, headers | (token(api, auth) if data is not None else {}))


def basic(auth: str) -> dict[str, str]:
    """Return the header that gives `user:password`."""
    return {"Authorization": f"Basic {b64encode(auth.encode()).decode()}"}


@lru_cache
def token(api: str, auth: str) -> dict[str, str]:
    """Return the headers that prove a request to be of a client that has read from the server."""
    client = str(uuid4())
    request = urllib.request.Request(f"{api}/csrf-token?client={client}", headers=basic(auth))
    with urllib.request.urlopen(request, timeout=30) as answer:
        return {"Prefect-Csrf-Token": json.load(answer)["token"], "Prefect-Csrf-Client": client}
