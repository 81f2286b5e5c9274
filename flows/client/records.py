"""What the API tells of those who ask and of runs."""

from datetime import datetime
from uuid import UUID

from catalog.records import Record, Role, Scope


class WhoAmI(Record):
    """Who asks, and what the token leaves of what they may. expires_at: of the token or session."""

    name: str
    kind: str
    account: str
    projects: tuple[str, ...] = ()
    role: Role
    scope: Scope
    expires_at: datetime | None = None


class Progress(Record):
    """How far a run is. total_bytes: None where the size is not known; step: what is being done."""

    done_bytes: int
    total_bytes: int | None = None
    step: str = ""


class RunState(Record):
    """A run. result, error: what it returned or failed with, as JSON, once it is finished."""

    run: UUID
    operation: str = ""
    account: str = ""
    state: str
    finished: bool = False
    failed: bool = False
    message: str = ""
    progress: Progress | None = None
    result: object = None
    error: dict[str, object] | None = None


class Downloaded(Record):
    """A file that was downloaded. sha256, md5: those of its bytes that were compared with what the service recorded."""

    id: str
    path: str
    size_bytes: int
    received_bytes: int
    sha256: str | None = None
    md5: str | None = None
