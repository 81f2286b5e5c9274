"""Operations that people began, as the tray shows them: what each is about, how far it is, how fast, and what can be done next."""

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
"""The rate is that of so many seconds: shorter it jumps, longer it lags."""
ADDS = "add-"
"""How the progress of an add is called: with the id of its image."""
IDS = TypeAdapter(tuple[UUID, ...])


class Job(Record):
    """A run as the tray shows it.

    about: names of what it works on; done, total: bytes, None where nobody knows; rate: bytes a second; left_s: seconds to go;
    percent: 0 to 100; images: ids; again, undo: addresses to ask, empty where that can't be.
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
    """How fast bytes move: samples of one run, by the clock of whoever looks."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque()

    def take(self, now: float, done: int) -> None:
        """Note how much is done."""
        if self._samples and done < self._samples[-1][1]:  # another step began
            self._samples.clear()
        self._samples.append((now, done))
        while len(self._samples) > 2 and now - self._samples[0][0] > WINDOW_S:
            self._samples.popleft()

    @property
    def rate(self) -> int | None:
        """Bytes a second, None while two looks are lacking."""
        (begun, first), (now, last) = (self._samples[0], self._samples[-1]) if self._samples else ((0.0, 0), (0.0, 0))
        return int((last - first) / (now - begun)) if now > begun else None


def row_of_run(flow_name: str) -> Operation | None:
    """Return the operation that a flow of Prefect is, None for one that is not ours."""
    return OPERATIONS.get(flow_name.replace("-", "_"))


def job_of(run: FlowRun, row: Operation) -> Job:
    """Return a run as far as it says so itself."""
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
    """Return the images that a run was asked to work on; whoever starts it writes what they like there."""
    request = run.parameters.get("request")
    asked = request if isinstance(request, dict) else {}
    named = [asked["image_id"]] if asked.get("image_id") else asked.get("image_ids") or []
    try:
        return tuple(map(str, IDS.validate_python(named)))
    except ValidationError:
        return ()


def asked_name(run: FlowRun) -> str:
    """Return the name of what a run adds or changes, as it was asked for."""
    request = run.parameters.get("request")
    said = request.get("name") if isinstance(request, dict) else ""
    return said[:128] if isinstance(said, str) else ""


def with_progress(job: Job, artifact: Artifact, pace: Pace, now: float) -> Job:
    """Return a run with how far it is, and how long it will take at the pace it has."""
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
    """Tell whether a run was begun by whoever looks; the operators are one another's."""
    caller = started_by(run)
    if is_operator(who):
        return caller.identity is None and caller.door == DOOR
    return caller.identity == who.identity.name
