"""Metrics of runs from Prefect's server: each run is a short process of its own, so only the server knows how it ended.

Counters and histograms start with this process; each look reads the runs that ended since the last one, newest first,
and at most `MOST` of them. Gauges are counts made by the server.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import Metric

from catalog import errors
from catalog.records import Record
from console.health.families import gauge, up
from console.health.remembered import Known, Remembered
from flows.registry import OPERATIONS
from flows.server.api import ServerApi

FRESH_S = 10.0
WAIT_S = 3.0
PAGE, MOST = 200, 2000
OVERLAP = timedelta(seconds=30)
"""Overlap of two looks: a run's end is written a little after its time stamp."""
LIVE = ("SCHEDULED", "PENDING", "RUNNING", "PAUSED", "CANCELLING")
ENDED = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
BUCKETS_S = (0.5, 1, 2, 5, 10, 30, 60, 300, 1800, 7200, 43200)
ERROR = re.compile(r"encountered an exception: (?P<name>\w+)(?::|\Z)")
KNOWN_ERRORS = frozenset(errors.__all__)
OTHER = "other"
SCHEDULED = tuple(row.deployment for row in OPERATIONS.values() if row.schedules)


class RunFigures(Record):
    """Present figures of runs.

    states: live runs by state; due: runs that should have begun; ages: seconds since the last completed run of each
    schedule.
    """

    states: dict[str, int]
    due: int
    ages: dict[str, float]


class RunMetrics:
    """A collector of prometheus_client. url, auth: of Prefect's API."""

    def __init__(self, url: str, auth: str, registry: CollectorRegistry) -> None:
        self._url, self._auth = url, auth
        self._since: datetime | None = None
        self._seen: dict[str, datetime] = {}
        self._flows: dict[str, str] = {}
        self._completed: dict[str, datetime] = {}
        self._known = Remembered(self._look, FRESH_S)
        self._seconds = Histogram(
            "imagewright_run_seconds",
            "How long runs took that ended since this process began.",
            ("flow", "state"),
            buckets=BUCKETS_S,
            registry=registry,
        )
        self._failures = Counter(
            "imagewright_run_failures",
            "Runs that failed since this process began, by class of error.",
            ("flow", "error"),
            registry=registry,
        )
        registry.register(self)

    def known(self) -> Known[RunFigures]:
        """Return the last figures."""
        return self._known.known(WAIT_S)

    def _look(self) -> RunFigures:
        with ServerApi(self._url, self._auth) as api:
            api.get("health")
            now = api.clock.now()  # the server's clock, which stamps the runs
            if self._since is None:
                self._completed = dict(_last_completed(api))
            self._count_ended(api, self._since or now)
            self._since = now
            states = {state: _count(api, {"state": {"type": {"any_": [state]}}}) for state in LIVE}
            waiting = {
                "state": {"type": {"any_": ["SCHEDULED"]}},
                "next_scheduled_start_time": {"before_": now.isoformat()},
            }
            due = _count(api, waiting)
        ages = {flow: max(0.0, (now - at).total_seconds()) for flow, at in self._completed.items()}
        return RunFigures(states=states, due=due, ages=ages)

    def _count_ended(self, api: ServerApi, since: datetime) -> None:
        ended = {"end_time": {"after_": (since - OVERLAP).isoformat()}, "state": {"type": {"any_": list(ENDED)}}}
        for run in _newest(api, ended):
            at = _moment(run.get("end_time"))
            if at is None or str(run["id"]) in self._seen or at < since - OVERLAP:
                continue
            self._seen[str(run["id"])] = at
            if self._since is not None:  # runs that ended before this process began don't count
                self._take(self._flow_of(api, str(run["flow_id"])), run, at)
        self._seen = {run: at for run, at in self._seen.items() if at >= since - 2 * OVERLAP}

    def _take(self, flow: str, run: Mapping[str, object], at: datetime) -> None:
        state = str(run["state_type"])
        self._seconds.labels(flow, state.lower()).observe(_seconds(run))
        if state == "COMPLETED" and flow in SCHEDULED:
            self._completed[flow] = max(at, self._completed.get(flow, at))
        if state in ("FAILED", "CRASHED"):
            self._failures.labels(flow, error_of(run) if state == "FAILED" else state.lower()).inc()

    def _flow_of(self, api: ServerApi, flow_id: str) -> str:
        """Return a flow's name, `other` for a foreign one, so that labels stay few."""
        if flow_id not in self._flows:
            found = api.get(f"flows/{flow_id}") or {}
            name = str(found.get("name", OTHER))
            self._flows[flow_id] = name if name.replace("-", "_") in OPERATIONS else OTHER
        return self._flows[flow_id]

    def collect(self) -> Iterator[Metric]:
        """Yield the gauges; the counters are separate collectors."""
        known = self.known()
        yield up("prefect", known)
        states = gauge("imagewright_runs", "Runs that have not ended, by state.", "state")
        due = gauge("imagewright_queue_length", "Runs that should have begun by now and wait for a worker.")
        ages = gauge(
            "imagewright_schedule_last_completed_age_seconds", "Since a scheduled flow was last completed.", "flow"
        )
        if known.value is not None:
            for state, count in known.value.states.items():
                states.add_metric((state.lower(),), count)
            due.add_metric((), known.value.due)
            for flow, age in known.value.ages.items():
                ages.add_metric((flow,), age + known.age_s)
        yield from (states, due, ages)


def error_of(run: Mapping[str, object]) -> str:
    """Return the class of a run's error, `other` if it is none of ours."""
    state = run.get("state")
    message = state.get("message") if isinstance(state, dict) else None
    found = ERROR.search(str(message or ""))
    return found["name"] if found and found["name"] in KNOWN_ERRORS else OTHER


def _newest(api: ServerApi, wanted: Mapping[str, object]) -> Iterator[Mapping[str, object]]:
    for offset in range(0, MOST, PAGE):
        body = {"flow_runs": wanted, "sort": "END_TIME_DESC", "limit": PAGE, "offset": offset}
        found: Sequence[Mapping[str, object]] = api.post("flow_runs/filter", body) or ()
        yield from found
        if len(found) < PAGE:
            return


def _last_completed(api: ServerApi) -> Iterator[tuple[str, datetime]]:
    """Yield when each scheduled flow was last completed, with one query per flow."""
    done = {"state": {"type": {"any_": ["COMPLETED"]}}}
    for flow in SCHEDULED:
        body = {"flow_runs": done, "flows": {"name": {"any_": [flow]}}, "sort": "END_TIME_DESC", "limit": 1}
        for run in api.post("flow_runs/filter", body) or ():
            if (at := _moment(run.get("end_time"))) is not None:
                yield flow, at


def _count(api: ServerApi, wanted: Mapping[str, object]) -> int:
    return int(api.post("flow_runs/count", {"flow_runs": wanted}) or 0)


def _moment(text: object) -> datetime | None:
    return datetime.fromisoformat(text) if isinstance(text, str) else None


def _seconds(run: Mapping[str, object]) -> float:
    took = run.get("total_run_time")
    return float(took) if isinstance(took, int | float) else 0.0
