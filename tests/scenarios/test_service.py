"""From afar with only a token: the first administrator, a person, an add that is watched, its bytes, and who the log says it was."""

import hashlib
import json
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.scenarios.conftest import PASSWORD
from tests.services.patient import Patient
from tests.services.payload import payload
from tests.services.serving import Serving

pytestmark = pytest.mark.xdist_group("browser")
WAIT_S = 200


@payload
def content() -> bytes:
    return random.Random(19).randbytes(3 << 20) + bytes(2 << 20)


@pytest.fixture(scope="module")
def disk(served: Serving) -> Path:
    """Return a disk beside the home."""
    place = served.home.parent / "disk.raw"
    place.write_bytes(content())
    return place


@pytest.fixture(scope="module")
def api(served: Serving) -> Iterator[httpx.Client]:
    address = json.loads((served.home / "run" / "server.json").read_text())["api"]
    with Patient(base_url=address, timeout=WAIT_S + 30) as client:
        yield client


@pytest.fixture(scope="module")
def alice(api: httpx.Client, root: dict[str, str]) -> dict[str, str]:
    person = {"name": "alice", "account": "team", "role": "user", "password": PASSWORD}
    assert api.post("/identities", json=person, headers=root).status_code == 201
    made = api.post("/tokens", json={"identity": "alice"}, headers=root)
    return {"Authorization": f"Bearer {made.json()['token']}"}


@pytest.fixture(scope="module")
def image(api: httpx.Client, disk: Path, root: dict[str, str], alice: dict[str, str]) -> dict[str, object]:
    asked = {"name": "ci-disk", "image_format": "raw", "image_path": disk.as_uri(), "account": "team"}
    hers = api.post("/operations/add-volume-image", json=asked, headers=alice)
    assert (hers.status_code, hers.json()["type"]) == (403, "NotAllowed")  # the host's files are not hers
    added = api.post("/operations/add-volume-image", json=asked, headers=root, params={"wait": WAIT_S})
    assert (added.status_code, added.json()["state"]) == (200, "Completed"), added.text
    result: dict[str, object] = added.json()["result"]
    assert (result["status"], result["sha256"]) == ("Ready", hashlib.sha256(content()).hexdigest())
    return result


def test_the_bytes_come_back_whole_and_in_parts(
    api: httpx.Client, image: dict[str, object], alice: dict[str, str]
) -> None:
    whole = api.get(f"/images/{image['id']}/content", headers=alice)
    assert whole.content == content()
    part = api.get(f"/images/{image['id']}/content", headers={**alice, "Range": "bytes=3145720-3145730"})
    assert (part.status_code, part.content) == (206, content()[3145720:3145731])


def test_a_run_is_watched_to_its_end_and_begun_once(
    api: httpx.Client, image: dict[str, object], alice: dict[str, str]
) -> None:
    key, asked = {"Idempotency-Key": "export 1"}, {"image_id": image["id"]}
    begun = [api.post("/operations/export-image", json=asked, headers={**alice, **key}) for _ in range(2)]
    assert {answer.status_code for answer in begun} == {202}
    (run,) = {answer.json()["run"] for answer in begun}
    other = api.post("/operations/export-image", json={**asked, "image_format": "qcow2"}, headers={**alice, **key})
    assert (other.status_code, other.json()["type"], other.json()["key"]) == (409, "KeyReused", "export 1")
    states = []
    with api.stream("GET", f"/runs/{run}/events", headers=alice) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        states = [json.loads(line.removeprefix("data: ")) for line in answer.iter_lines() if line.startswith("data: ")]
    assert (states[-1]["state"], states[-1]["finished"], states[-1]["failed"]) == ("Completed", True, False)
    export = states[-1]["result"]
    got = api.get(f"/exports/{export['id']}/content", headers=alice)
    assert got.content == content()
    assert api.get(f"/runs/{run}", headers=alice).json()["result"] == export


def test_what_a_run_failed_with_is_told_with_its_values(
    api: httpx.Client, image: dict[str, object], alice: dict[str, str]
) -> None:
    asked = {"image_id": image["id"], "image_storage": "nowhere"}
    ended = api.post("/operations/export-image", json=asked, headers=alice, params={"wait": WAIT_S})
    assert (ended.status_code, ended.json()["state"], ended.json()["result"]) == (200, "Failed", None)
    assert (ended.json()["error"]["type"], ended.json()["error"]["name"]) == ("StorageNotFound", "nowhere")


def test_runs_of_other_accounts_do_not_exist(
    api: httpx.Client, image: dict[str, object], root: dict[str, str], alice: dict[str, str]
) -> None:
    given = {"name": "eve", "account": "others", "role": "user", "password": PASSWORD}
    assert api.post("/identities", json=given, headers=root).status_code == 201
    token = api.post("/tokens", json={"identity": "eve"}, headers=root).json()["token"]
    eve = {"Authorization": f"Bearer {token}"}
    run = api.post("/operations/export-image", json={"image_id": image["id"]}, headers=alice).json()["run"]
    nothing = "00000000-0000-4000-8000-000000000000"
    for path in ("/runs/{}", "/runs/{}/events"):
        hers, none = (api.get(path.format(one), headers=eve) for one in (run, nothing))
        assert (hers.status_code, none.status_code) == (404, 404)
        assert hers.text.replace(run, nothing) == none.text
    assert api.post(f"/runs/{run}/cancel", headers=eve).status_code == 404


def test_a_run_is_cancelled(api: httpx.Client, disk: Path, root: dict[str, str]) -> None:
    asked = {"name": "never", "image_format": "raw", "image_path": disk.as_uri()}
    run = api.post("/operations/add-volume-image", json=asked, headers=root).json()["run"]
    assert api.post(f"/runs/{run}/cancel", headers=root).status_code == 202
    until = time.monotonic() + WAIT_S
    while not (state := api.get(f"/runs/{run}", headers=root).json())["finished"]:
        assert time.monotonic() < until
        time.sleep(0.5)
    assert state["state"] in ("Cancelled", "Completed", "Crashed")


def test_the_log_names_who_by_which_door_and_in_which_run(
    api: httpx.Client, served: Serving, image: dict[str, object], root: dict[str, str]
) -> None:
    events = api.get("/events", headers=root, params={"image_id": str(image["id"]), "limit": 500}).json()["items"]
    ready = next(event for event in events if event["kind"] == "imagewright.image.ready")
    assert (ready["actor"], ready["identity"], ready["door"]) == ("team", "root", "API")
    assert ready["run_id"]
    edited = served.command(
        "edit-image", "--image-id", str(image["id"]), "--description", "from the terminal", "--json"
    )
    assert edited.returncode == 0, edited.stderr
    events = api.get("/events", headers=root, params={"since": events[-1]["sequence"]}).json()["items"]
    last = next(event for event in events if event["kind"] == "imagewright.image.edited")
    assert last["door"] == "command"
    assert last["identity"].startswith("os:")
    assert last["run_id"]
    for door, told in (("console", by_page(served, image)), ("Prefect UI", by_operators(served, image))):
        events = api.get("/events", headers=root, params={"since": last["sequence"]}).json()["items"]
        last = next(event for event in events if event["kind"] == "imagewright.image.edited")
        who = "root" if door == "console" else None  # whoever has the operators' password: no person is proven by it
        assert (last["actor"], last["identity"], last["door"], last["run_id"]) == ("admin", who, door, told)
    assert served.command("events", "--verify").returncode == 0


def by_page(served: Serving, image: dict[str, object]) -> str:
    """Edit an image as a page does, for whoever is signed in there; return its run, ended."""
    ours = {"X-Imagewright": "1"}
    with Patient(base_url=served.console, timeout=WAIT_S) as page:
        said = {"name": "root", "password": PASSWORD}
        assert page.post("/login", json=said, headers=ours).status_code == 204
        asked = {"image_id": image["id"], "description": "from a page"}
        answer = page.post("/api/flows/edit_image", json=asked, headers=ours)
        assert answer.status_code < 300, answer.text
    return ended(served, str(answer.json()["flow_run_id"]))


def by_operators(served: Serving, image: dict[str, object]) -> str:
    """Edit an image as Prefect's page does; return its run, ended."""
    deployment = served.ask("deployments/name/edit-image/edit-image")
    assert isinstance(deployment, dict)
    asked = {"image_id": image["id"], "description": "by the operators"}
    body = {"parameters": {"request": asked}, "state": {"type": "SCHEDULED"}}
    run = served.ask(f"deployments/{deployment['id']}/create_flow_run", body)
    assert isinstance(run, dict)
    return ended(served, str(run["id"]))


def ended(served: Serving, run_id: str) -> str:
    """Wait for the end of a run that goes well."""
    until = time.monotonic() + WAIT_S
    while True:
        run = served.ask(f"flow_runs/{run_id}")
        assert isinstance(run, dict)
        if run["state_type"] == "COMPLETED":
            return run_id
        assert run["state_type"] not in ("FAILED", "CRASHED", "CANCELLED"), run["state"]
        assert time.monotonic() < until
        time.sleep(0.5)


def test_commands_of_the_host_add_people_and_tokens(served: Serving, api: httpx.Client, root: dict[str, str]) -> None:
    robot = served.command("identity", "add", "builder", "--account", "team", "--role", "user", "--robot", "--json")
    assert (robot.returncode, json.loads(robot.stdout)["kind"]) == (0, "robot"), robot.stderr
    made = served.command("token", "create", "builder", "--verb", "read", "--image", "ci-*", "--json")
    token = json.loads(made.stdout)["token"]
    who = api.get("/whoami", headers={"Authorization": f"Bearer {token}"})
    assert (who.json()["name"], who.json()["scope"]["images"]) == ("builder", ["ci-*"])
    assert token not in served.command("token", "list", "--json").stdout
    assert served.command("token", "revoke", json.loads(made.stdout)["id"]).returncode == 0
    assert api.get("/whoami", headers={"Authorization": f"Bearer {token}"}).status_code == 401
    refused = served.command("identity", "add", "x", "--account", "admin", "--role", "user", "--robot")
    assert (refused.returncode, "with role user another account" in refused.stderr) == (2, True)
    assert served.command("identity", "disable", "root").returncode == 1  # the last one


def test_no_secret_is_in_a_log_or_a_run(served: Serving, root: dict[str, str], alice: dict[str, str]) -> None:
    secrets = [PASSWORD, *(one["Authorization"].split("_", 2)[2] for one in (root, alice))]
    for file in (*(served.home / "logs").iterdir(), *Path(served.home).glob("catalog.db*")):
        raw = file.read_bytes()
        assert not [secret for secret in secrets if secret.encode() in raw], file
    assert os.environ.get("PREFECT_API_AUTH_STRING", "x") != PASSWORD
