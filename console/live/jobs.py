"""Runs of operations as the tray shows them: subject, progress, rate, and what can be done next."""

from collections import deque
from uuid import UUID

from prefect.client.schemas.objects import Artifact, FlowRun
from pydantic import TypeAdapter, ValidationError

from catalog.records import Record, SignedIn
from console.entrance.run_visibility import started_by
from console.entrance.visitors import DOOR, is_operator
from console.runs import OUR_ERROR
from flows.registry import OPERATIONS, Operation

WINDOW_S = 20.0
"""Seconds over which a rate is measured: shorter it jumps, longer it lags."""
ADDS = "add-"
"""Prefix of an add's progress artifact, before the image's id."""
IDS = TypeAdapter(tuple[UUID, ...])


class Job(Record):
    """A run as the tray shows it.

    about: names of its subjects; done, total: bytes, None if unknown; rate: bytes per second; left_s: seconds to go;
    percent: 0 to 100; images: ids; again, undo: addresses to request, "" if impossible.
    """

    id: str
    operation: str
    title: str
    about: str = ""
    state: str
    finished: bool = False
    failed: bool = False
    asks: bool = False
    message: str = ""
    percent: float | None = None
    done: int | None = None
    total: int | None = None
    rate: int | None = None
    left_s: int | None = None
    images: tuple[str, ...] = ()
    again: str = ""
    undo: str = ""
    undo_title: str = ""


class Pace:
    """The rate of one run, from samples by this process's clock."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque()

    def take(self, now: float, done: int) -> None:
        """Add a sample. done: bytes."""
        if self._samples and done < self._samples[-1][1]:  # another step has begun
            self._samples.clear()
        self._samples.append((now, done))
        while len(self._samples) > 2 and now - self._samples[0][0] > WINDOW_S:
            self._samples.popleft()

    @property
    def rate(self) -> int | None:
        """Bytes per second, None before the second sample."""
        (begun, first), (now, last) = (self._samples[0], self._samples[-1]) if self._samples else ((0.0, 0), (0.0, 0))
        return int((last - first) / (now - begun)) if now > begun else None


def row_of_run(flow_name: str) -> Operation | None:
    """Return the operation of a Prefect flow, None for a foreign one."""
    return OPERATIONS.get(flow_name.replace("-", "_"))


def job_of(run: FlowRun, row: Operation) -> Job:
    """Return a run as a job, as far as the run itself tells."""
    state, final = run.state, run.state is not None and run.state.is_final()
    return Job(
        id=str(run.id),
        operation=row.name,
        title=row.title,
        state=(state.name or state.type.value) if state else "Scheduled",
        finished=final,
        failed=final and state is not None and not state.is_completed(),
        asks=state is not None and state.is_paused() and row.asks,
        message=OUR_ERROR.sub("", state.message or "") if state and final and not state.is_completed() else "",
        images=images_of(run),
    )


def images_of(run: FlowRun) -> tuple[str, ...]:
    """Return the ids of images in a run's request, which may contain anything."""
    request = run.parameters.get("request")
    asked = request if isinstance(request, dict) else {}
    named = [asked["image_id"]] if asked.get("image_id") else asked.get("image_ids") or []
    try:
        return tuple(map(str, IDS.validate_python(named)))
    except ValidationError:
        return ()


def asked_name(run: FlowRun) -> str:
    """Return the name in a run's request."""
    request = run.parameters.get("request")
    said = request.get("name") if isinstance(request, dict) else ""
    return said[:128] if isinstance(said, str) else ""


def with_progress(job: Job, artifact: Artifact, pace: Pace, now: float) -> Job:
    """Return a job with its progress, rate and remaining time."""
    said = artifact.metadata_ or {}
    done, total = said.get("done_bytes", ""), said.get("total_bytes", "")
    percent = float(artifact.data) if isinstance(artifact.data, int | float) else None
    images = (str(artifact.key).removeprefix(ADDS),) if str(artifact.key).startswith(ADDS) else job.images
    if not done.isdigit():
        return job.model_copy(update={"percent": percent, "images": images})
    pace.take(now, int(done))
    whole = int(total) if total.isdigit() else None
    left = round((whole - int(done)) / pace.rate) if whole and pace.rate else None
    far = {"percent": percent, "done": int(done), "total": whole, "rate": pace.rate, "left_s": left}
    return job.model_copy(update={**far, "images": images})


def is_own(who: SignedIn, run: FlowRun) -> bool:
    """Tell whether the visitor started a run; the operators count as one visitor."""
    caller = started_by(run)
    if is_operator(who):
        return caller.identity is None and caller.door == DOOR
    return caller.identity == who.identity.name
