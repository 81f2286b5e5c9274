"""The Python client of a remote service: listings, operations, uploads and downloads.

```python
with Client("https://images.example", "iw_…") as client:
    image = client.upload("disk.qcow2", "add-volume-image", {"name": "data"})
    client.run("export-image", {"image_id": image.id})
    client.download(image.id, "copy.qcow2")
```
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Self

from pydantic import BaseModel

from catalog.errors import InvalidRequest, NotSignedIn
from catalog.settings import load_settings
from flows.client import people, runs
from flows.client.address import Login, chosen, service_url
from flows.client.connection import Connection
from flows.client.reading import ServiceReading
from flows.client.records import Downloaded, RunState, WhoAmI
from flows.client.returned import Result, returned
from flows.client.transfers import downloads, uploads
from flows.client.transfers.progress import Moved, nobody


class Client(ServiceReading):
    """A client of a service; use it as a context manager.

    url, token: default to `IMAGEWRIGHT_SERVER` and `IMAGEWRIGHT_TOKEN`, else to those of `imagewright login`.
    Each call raises ServiceUnreachable, AnswerNotUnderstood, and the errors of the same call on the service's own host.
    """

    def __init__(self, url: str | None = None, token: str | None = None) -> None:
        self._settings = load_settings()
        self.login = _login(url, token)
        super().__init__(Connection(self.login.url, self.login.token, self._settings))
        self.people = people.ServicePeople(self.connection)

    def whoami(self) -> WhoAmI:
        """Return the identity of the token and its rights."""
        return people.whoami(self.connection)

    def run(
        self,
        operation: str,
        request: Mapping[str, object] | BaseModel,
        *,
        key: str | None = None,
        told: runs.Told = nobody,
    ) -> Result:
        """Run an operation to its end and return its result. Raises the operation's error, RunFailed.

        operation: name of the flow, e.g. `add-volume-image`; request: its fields, without those not given.
        key: idempotency key; a repeated call with it starts no second run. told: called on each change of state.
        """
        state = self.begin(operation, request, key=key)
        return self.result(state.operation or operation, self.watch(state, told))

    def begin(self, operation: str, request: Mapping[str, object] | BaseModel, *, key: str | None = None) -> RunState:
        """Start an operation and return its run, which may have ended already."""
        return runs.begin(self.connection, self._settings, flow_name(operation), body_of(request), key)

    def state_of(self, run: str) -> RunState:
        """Return a run's state. Raises RunNotFound."""
        return runs.state_of(self.connection, run)

    def watch(self, run: RunState, told: runs.Told = nobody) -> RunState:
        """Wait until a run has ended and return it. told: called on each change of state."""
        return run if run.finished else runs.watched(self.connection, self._settings, str(run.run), told)

    def cancel(self, run: str) -> RunState:
        """Cancel a run. Raises RunNotFound."""
        return runs.cancel(self.connection, run)

    def result(self, operation: str, run: RunState) -> Result:
        """Return the result of an ended run. Raises the run's error, RunFailed."""
        return returned(operation.replace("-", "_"), runs.result_of(run), self.connection.url)

    def upload(
        self,
        file: Path | str,
        operation: str,
        request: Mapping[str, object] | BaseModel,
        *,
        moved: Moved = nobody,
        told: runs.Told = nobody,
    ) -> Result:
        """Upload a file of this machine and have it added; called again after an interruption, it resumes.

        operation: `add-system-image` or `add-volume-image`; request: its fields without `image_path`. moved: called
        with the bytes sent.
        """
        upload = uploads.Uploading(self.connection, self._settings, Path(file), flow_name(operation), body_of(request))
        return self.result(operation, upload.added(moved, told))

    def download(self, identity: str, file: Path | str, *, moved: Moved = nobody) -> Downloaded:
        """Download an image or export; called again, it resumes. The service's answer has the digests to compare.

        The file gets its name once it is whole and proven. Raises ImageNotFound, ChecksumMismatch, TransferInterrupted.
        """
        return downloads.download(self.connection, self._settings, identity, Path(file), moved)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self.connection.close()


def _login(url: str | None, token: str | None) -> Login:
    if url is not None:
        if token is None:
            raise InvalidRequest("token", None, "the token for the service that is given")
        return Login(url=service_url("url", url), token=token)
    found = chosen(load_settings())
    if found is None:
        raise NotSignedIn(
            "no service is named; `imagewright login URL`, or set IMAGEWRIGHT_SERVER and IMAGEWRIGHT_TOKEN"
        )
    return found


def flow_name(operation: str) -> str:
    """Return an operation's name in the API's spelling."""
    return operation.replace("_", "-")


def body_of(request: Mapping[str, object] | BaseModel) -> dict[str, object]:
    """Return a request as the API takes it; the service fills in the account and other fields not given."""
    return request.model_dump(mode="json", exclude_unset=True) if isinstance(request, BaseModel) else dict(request)
