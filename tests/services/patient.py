"""A client that asks again where a service says that it is busy and when to come back, as clients of the API do."""

import time
from typing import Any

import httpx

ASKED = 30


class Patient(httpx.Client):
    """Sends a request again after `Retry-After`. A Prefect server on SQLite may be busy for a minute when it has just begun."""

    def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
        """Return the first answer that is not 503, the last one where there is none."""
        for _ in range(ASKED):
            answer = super().send(request, **options)
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE or "Retry-After" not in answer.headers:
                break
            answer.close()
            time.sleep(int(answer.headers["Retry-After"]))
        return answer
