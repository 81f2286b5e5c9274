"""The same add by Python call, by command and by a deployment's run gives the same record."""

import json
import os
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from tests.services.nginx import nginx
from tests.services.serving import Serving

pytestmark = pytest.mark.xdist_group("browser")
DIFFERENT = {
    "id",
    "created_at",
    "updated_at",
    "quality",
    "actual_size_bytes",
}  # the second finds its chips there
CALL = """
import json, sys
from flows import add_volume_image
print(add_volume_image(json.loads(sys.argv[1])).model_dump_json())
"""


def by_call(served: Serving, request: dict[str, object]) -> dict[str, object]:
    call = [sys.executable, "-c", CALL, json.dumps(request)]
    done = subprocess.run(call, env=served.environment, capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout))


def by_command(served: Serving, request: dict[str, object]) -> dict[str, object]:
    options = [part for k, v in request.items() for part in (f"--{k.replace('_', '-')}", str(v))]
    done = served.command("add-volume-image", *options, "--json")
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def by_deployment(served: Serving, request: dict[str, object]) -> dict[str, object]:
    found = served.ask("deployments/filter", {"deployments": {"name": {"any_": ["add-volume-image"]}}})
    assert isinstance(found, list)
    run = served.ask(f"deployments/{found[0]['id']}/create_flow_run", {"parameters": {"request": request}})
    assert isinstance(run, dict)
    wait_for(served, run["id"])
    done = served.command("show", str(request["image_id"]), "--json")
    return dict(json.loads(done.stdout))


def wait_for(served: Serving, run: str) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        state = served.ask(f"flow_runs/{run}")
        assert isinstance(state, dict)
        if state["state"]["type"] in ("COMPLETED", "FAILED", "CRASHED"):
            assert state["state"]["type"] == "COMPLETED", state["state"]
            return
        time.sleep(0.5)
    raise AssertionError("the run did not end")


def test_an_add_gives_the_same_record_whoever_starts_it(served: Serving, tmp_path: Path) -> None:
    root = tmp_path / "www"
    root.mkdir()
    (root / "data.raw").write_bytes(os.urandom(2 << 20))
    records = []
    with nginx(tmp_path / "nginx", root) as server:
        for way in (by_call, by_command, by_deployment):
            request = {"name": "data", "image_format": "raw", "image_path": f"{server.url}/data.raw"}
            records.append(way(served, {**request, "image_id": str(uuid.uuid4())}))
    alike = [{k: v for k, v in record.items() if k not in DIFFERENT} for record in records]
    assert alike[0] == alike[1] == alike[2]
    assert alike[0]["status"] == "Ready"
