"""Check Prefect's server: connection, password, current deployments, and live workers."""

import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from catalog.settings import Settings
from deployments.definitions import POOL, DeploymentDefinition, definitions
from deployments.doctor.examine import Finding
from flows.server.api import ServerApi
from flows.server.environment import chosen_server, running_server, same_server
from flows.server.password import CLIENT, find_password
from flows.server.same_catalog import require_same_catalog

TIMEOUT_S = 5.0
RECOVERY = "recover-runs"
LATE_S = 600.0
APPLY = "`python -m deployments.apply` puts them there"


def server_api(settings: Settings, environment: Mapping[str, str]) -> ServerApi | None:
    """Return the API of the server that a command on this host would use, None if there is none."""
    url = chosen_server(environment, settings)
    if url is None:
        return None
    known = dict(environment)
    if same_server(url, running_server(settings)):
        find_password(settings, known)
    return ServerApi(url, known.get(CLIENT, ""), TIMEOUT_S)


def server_answers(settings: Settings) -> Iterator[Finding]:
    """Report a server that is unreachable, refuses us, or whose workers write another catalog."""
    api = server_api(settings, os.environ)
    if api is None:
        sentence = "none runs for this home, so nothing happens by itself; `imagewright serve` starts one"
        yield Finding(check="prefect server", ok=False, sentence=sentence)
        return
    with api:
        version = api.get("admin/version")
        api.post("flows/count", {})
    require_same_catalog(settings, os.environ)
    yield Finding(check="prefect server", ok=True, sentence=f"{api.url} answers, it is Prefect {version}")


def deployments_current(settings: Settings) -> Iterator[Finding]:
    """Report deployments that are missing, of another version, or with schedules turned off."""
    api = server_api(settings, os.environ)
    if api is None:
        return
    with api:
        found = {str(row["name"]): row for row in api.post("deployments/filter", {"limit": 200}) or ()}
        workers = api.post(f"work_pools/{POOL}/workers/filter", {"limit": 200})
    wanted = definitions()
    missing = [row.name for row in wanted if row.name not in found]
    other = [row.name for row in wanted if row.name in found and not _same(row, found[row.name])]
    off = [row.name for row in wanted if row.schedules and row.name in found and _is_off(found[row.name])]
    said = [
        f"{what}: {', '.join(names)}"
        for what, names in {"missing": missing, "of another version": other}.items()
        if names
    ]
    sentence = f"{'; '.join(said)}; {APPLY}" if said else f"all {len(wanted)} are there and current"
    yield Finding(check="deployments", ok=not said, sentence=sentence)
    sentence = f"off: {', '.join(off)}; switch them on in the Prefect UI" if off else "every schedule is on"
    yield Finding(check="schedules", ok=not off, sentence=sentence)
    yield _workers(workers)


def _same(row: DeploymentDefinition, found: Mapping[str, Any]) -> bool:
    crons = {str(one["schedule"].get("cron")) for one in found["schedules"]}
    return found["entrypoint"] == row.entrypoint and {schedule.cron for schedule in row.schedules} <= crons


def _is_off(found: Mapping[str, Any]) -> bool:
    return bool(found["paused"]) or not any(one["active"] for one in found["schedules"])


def _workers(workers: Sequence[Mapping[str, Any]] | None) -> Finding:
    online = [str(worker["name"]) for worker in workers or () if worker["status"] == "ONLINE"]
    sentence = (
        f"{len(online)} take up runs"
        if online
        else (
            f"nobody takes up the runs of the pool {POOL!r}: start a worker (`imagewright serve`, "
            f"or `prefect worker start --pool {POOL}`)"
        )
    )
    return Finding(check="workers", ok=bool(online), sentence=sentence)


def recovery_fresh(settings: Settings) -> Iterator[Finding]:
    """Report a server whose scheduled recovery does not run: then no other schedule runs either."""
    api = server_api(settings, os.environ)
    if api is None:
        return
    done = {"state": {"type": {"any_": ["COMPLETED"]}}}
    with api:
        asked = {"flows": {"name": {"any_": [RECOVERY]}}, "flow_runs": done, "sort": "END_TIME_DESC", "limit": 1}
        runs = api.post("flow_runs/filter", asked) or ()
        deployed = api.get(f"deployments/name/{RECOVERY}/{RECOVERY}")
    since = runs[0]["end_time"] if runs else (deployed or {}).get("created")
    if since is None:
        yield Finding(check="recovery", ok=False, sentence=f"there is no deployment {RECOVERY}; {APPLY}")
        return
    age = (api.clock.now() - datetime.fromisoformat(since)).total_seconds()
    what = "the last one was completed" if runs else "none was completed yet; it was deployed"
    remedy = "" if age <= LATE_S else "; see whether a worker serves the pool and the server's scheduler is on"
    yield Finding(check="recovery", ok=age <= LATE_S, sentence=f"{what} {age:.0f} s ago{remedy}")
