"""Prefect's API by plain requests, for callers that can't wait for Prefect's import (2.5 s) or its client's timeout."""

from http import HTTPStatus
from typing import Any, Self
from uuid import uuid4

import httpx

from catalog.errors import ImagewrightError
from flows.server.clock import ServerClock
from storage.sources.masking import mask


class ServerSilent(ImagewrightError):
    """The Prefect server does not answer as it should."""

    retryable = True

    def __init__(self, url: str, reason: str) -> None:
        self.url, self.reason = url, reason
        super().__init__(
            f"the Prefect server at {mask(url)} does not answer: {reason}; see whether it runs, and its log"
        )


class PasswordRefused(ImagewrightError):
    """The Prefect server requires a password: none or a wrong one was given."""

    def __init__(self, url: str) -> None:
        self.url = url
        super().__init__(
            f"the Prefect server at {mask(url)} refuses the password; set PREFECT_API_AUTH_STRING to its `user:password`"
        )


class ServerApi:
    """One server. auth: `user:password`, or empty. timeout_s: per request, without retries. clock: the server's."""

    def __init__(self, url: str, auth: str = "", timeout_s: float = 5.0) -> None:
        user, _, password = auth.partition(":")
        given = httpx.BasicAuth(user, password) if auth else None
        self.url, self.clock, self._proof = url, ServerClock(), dict[str, str]()
        self._client = httpx.Client(base_url=f"{url.rstrip('/')}/", auth=given, timeout=timeout_s, trust_env=False)

    def get(self, path: str) -> Any:
        """Return the parsed JSON of a GET, None for an empty answer or 404. Raises ServerSilent, PasswordRefused."""
        return self._answered("GET", path, None)

    def post(self, path: str, body: object) -> Any:
        """Return the parsed JSON of a POST. Raises ServerSilent, PasswordRefused."""
        if not self._proof:
            self._proof = self._proven()
        return self._answered("POST", path, body)

    def _proven(self) -> dict[str, str]:
        """Return the headers that CSRF protection requires, none if the server has no such protection."""
        client = str(uuid4())
        found = self._sent("GET", f"csrf-token?client={client}", None)
        token = found.json()["token"] if found.status_code == HTTPStatus.OK else ""
        return {"Prefect-Csrf-Token": token, "Prefect-Csrf-Client": client}

    def _answered(self, method: str, path: str, body: object) -> Any:
        answer = self._sent(method, path, body)
        if answer.status_code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            raise PasswordRefused(self.url)
        if answer.status_code == HTTPStatus.NOT_FOUND:
            return None
        try:
            answer.raise_for_status()
            return answer.json() if answer.content else None
        except (httpx.HTTPStatusError, ValueError) as error:
            raise ServerSilent(self.url, f"it answered {answer.status_code} to {path}") from error

    def _sent(self, method: str, path: str, body: object) -> httpx.Response:
        try:
            answer = self._client.request(method, path, json=body, headers=self._proof)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ServerSilent(self.url, str(error) or type(error).__name__) from error
        self.clock.hear(answer)
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._client.close()
