"""A service from afar, as Python has it: what is there, what can be done, and the bytes.

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
    """A service and who one is there; use it as a context manager.

    url, token: left out, those of `IMAGEWRIGHT_SERVER` and `IMAGEWRIGHT_TOKEN`, or of `imagewright login`.
    Each call raises ServiceUnreachable, AnswerNotUnderstood, and what the same call raises on the service's own host.
    """

    def __init__(self, url: str | None = None, token: str | None = None) -> None:
        self._settings = load_settings()
        self.login = _login(url, token)
        super().__init__(Connection(self.login.url, self.login.token, self._settings))
        self.people = people.ServicePeople(self.connection)

    def whoami(self) -> WhoAmI:
        """Return who one is here, and what one may do."""
        return people.whoami(self.connection)

    def run(
        self,
        operation: str,
        request: Mapping[str, object] | BaseModel,
        *,
        key: str | None = None,
        told: runs.Told = nobody,
    ) -> Result:
        """Run an operation to its end and return what it returned. Raises what it raised, RunFailed.

        operation: name of the flow, `add-volume-image`; request: its fields, of which those that are not given stay out.
        key: of idempotency; asked again with it, no second run begins. told: of each change of its state.
        """
        state = self.begin(operation, request, key=key)
        return self.result(state.operation or operation, self.watch(state, told))

    def begin(self, operation: str, request: Mapping[str, object] | BaseModel, *, key: str | None = None) -> RunState:
        """Begin an operation and return its run, which may have ended already."""
        return runs.begin(self.connection, self._settings, flow_name(operation), body_of(request), key)

    def state_of(self, run: str) -> RunState:
        """Return where a run is. Raises RunNotFound."""
        return runs.state_of(self.connection, run)

    def watch(self, run: RunState, told: runs.Told = nobody) -> RunState:
        """Return a run when it has ended. told: of each change of its state."""
        return run if run.finished else runs.watched(self.connection, self._settings, str(run.run), told)

    def cancel(self, run: str) -> RunState:
        """End a run. Raises RunNotFound."""
        return runs.cancel(self.connection, run)

    def result(self, operation: str, run: RunState) -> Result:
        """Return what a run that has ended returned. Raises what it raised, RunFailed."""
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
        """Send a file of this machine and have it added; called again after it broke off, it goes on.

        operation: `add-system-image` or `add-volume-image`; request: its fields without `image_path`. moved: of bytes sent.
        """
        upload = uploads.Uploading(self.connection, self._settings, Path(file), flow_name(operation), body_of(request))
        return self.result(operation, upload.added(moved, told))

    def download(self, identity: str, file: Path | str, *, moved: Moved = nobody) -> Downloaded:
        """Download an image or export; called again after it broke off, it goes on. What is compared is in the answer.

        The file takes its name when it is whole and proven. Raises ImageNotFound, ChecksumMismatch, TransferInterrupted.
        """
        return downloads.download(self.connection, self._settings, identity, Path(file), moved)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close what is open."""
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
    """Return an operation's name as the API has it."""
    return operation.replace("_", "-")


def body_of(request: Mapping[str, object] | BaseModel) -> dict[str, object]:
    """Return a request as the API takes it: the account and whatever else is not given are the service's to fill in."""
    return request.model_dump(mode="json", exclude_unset=True) if isinstance(request, BaseModel) else dict(request)
