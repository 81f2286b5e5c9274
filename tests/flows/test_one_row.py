"""A new operation is one file and one class: put into a copy of the package, it is there everywhere."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from catalog.errors import InvalidRequest
from deployments.definitions import ROOT
from flows.registry import OPERATIONS
from tests.services.prefect import migrated_database

REQUEST = '''
"""Thrown away."""

from pydantic import Field

from flows.registry import Cron, operation
from flows.requests.form import ChangingRequest, Id, at


@operation(
    "flows.throwaway.greet", rights="anybody", run="greet {whom}", single=True, buttons=("storages",), irreversible=True,
    schedule=Cron("7 7 * * *", "early", {"whom": "everybody"}), left="a silence",
)
class GreetPeople(ChangingRequest):
    """Greet people. Can't be undone."""

    whom: str = Field("nobody", **at(0, "Whom", "Who is greeted."))


@operation("flows.throwaway.paint", rights="owner, admin", run="paint {image_id}", transition="edit")
class PaintImage(ChangingRequest):
    """Paint an image."""

    image_id: Id = Field(**at(0, "Image", "Id of the image."))
'''
FLOW = '''
"""Thrown away."""

from prefect.runtime import flow_run

from catalog.records import Plan
from flows.operation import flow_of
from flows.requests import GreetPeople


@flow_of(GreetPeople)
def greet_people(request: GreetPeople) -> Plan:
    """Greet."""
    return Plan(operation="greet", summary=f"{flow_run.get_name()} by {flow_run.get_flow_name()}")
'''
LOOK = """
import json, sys
import flows
from flows.registry import OPERATIONS
row = OPERATIONS["greet_people"]
seen = {"without prefect": "prefect" not in sys.modules, "listed": "greet_people" in dir(flows)}
seen["flow"] = flows.greet_people.name
from deployments.definitions import definition_of
seen["deployment"] = definition_of(row).model_dump(mode="json")
from deployments.generate import flow_names, flows_readme, prefect_yaml, request_names
seen["generated"] = [flow_names(), request_names(), prefect_yaml()]
seen["table"] = flows_readme()
from starlette.testclient import TestClient
from catalog import open_catalog
from catalog.settings import load_settings
from console.pages.pages import Pages
from console.pages.tabs import TABS
from flows.upkeep.recover_runs import WATCHED
from tests.catalog.samples import an_image
from tests.console.operators import as_operators
seen["recovered"] = "greet-people" in WATCHED.flows
seen["offered"] = "greet_people" in TABS["storages"].actions
with open_catalog() as catalog, catalog.changing(actor="admin") as change:
    change.save_image(an_image(status="Ready"))
with TestClient(as_operators(Pages(load_settings()).routes())) as client:
    seen["pages"] = {tab: client.get(f"/?tab={tab}").text for tab in ("storages", "images", "bin")}
    seen["form"] = client.get("/forms/greet_people").text
print(json.dumps(seen))
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a folder with the package `flows` and the throw-away operation in it."""
    shutil.copytree(ROOT / "flows", tmp_path / "flows", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "flows/throwaway").mkdir()
    (tmp_path / "flows/throwaway/greet.py").write_text(FLOW)
    (tmp_path / "flows/requests/throwaway.py").write_text(REQUEST)
    (tmp_path / "p").mkdir()
    shutil.copyfile(migrated_database(), tmp_path / "p/prefect.db")
    return tmp_path


def environment(tree: Path) -> Mapping[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "IMAGEWRIGHT_"))}
    return {
        **kept,
        "PYTHONPATH": f"{tree}:{ROOT}",
        "IMAGEWRIGHT_HOME": str(tree / "home"),
        "PREFECT_HOME": str(tree / "p"),
    }


def python(tree: Path, *arguments: str) -> str:
    command = [sys.executable, "-W", "ignore", *arguments]
    done = subprocess.run(command, cwd=tree, env=environment(tree), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_new_operation_appears_everywhere(tree: Path) -> None:
    seen = json.loads(python(tree, "-c", LOOK))
    assert all(seen[place] is True for place in ("without prefect", "listed", "recovered"))
    assert seen["flow"] == "greet-people"
    assert seen["deployment"] == {
        "name": "greet-people", "queue": "prompt", "entrypoint": "flows.throwaway.greet.greet_people", "grace_s": None, "single": True,
        "description": "Greet people. Can't be undone.", "tags": ["throwaway", "scheduled"],
        "parameters": {"request": {}},
        "schedules": [{"cron": "7 7 * * *", "timezone": "UTC", "slug": "early", "active": True,
                       "parameters": {"request": {"whom": "everybody"}}}],
    }  # fmt: skip
    assert all("greet_people" in text or "GreetPeople" in text for text in seen["generated"])
    assert "| `greet_people` | anybody | `7 7 * * *` | none: one transaction | a silence |" in seen["table"]
    for part in ('<h2 id="dialog-title">Greet people</h2>', 'data-confirm=""', "Who is greeted."):
        assert part in seen["form"]

    offered = {tab: [flow in text for flow in ("greet_people", "paint_image")] for tab, text in seen["pages"].items()}
    assert offered == {"storages": [True, False], "images": [False, True], "bin": [False, False]}


def test_a_new_operation_is_a_subcommand_that_runs(tree: Path) -> None:
    assert {"greet-people", "paint-image"} <= set(python(tree, "-m", "flows.cli", "--help").split())
    told = json.loads(python(tree, "-m", "flows.cli", "greet-people", "--whom", "the crew", "--json"))
    assert told["summary"] == "greet the crew by greet-people"


def test_a_row_that_names_another_function_is_refused(tree: Path) -> None:
    flow = tree / "flows/throwaway/greet.py"
    flow.write_text(flow.read_text().replace("def greet_people", "def greet_them"))
    command = [sys.executable, "-c", "import flows.throwaway.greet"]
    done = subprocess.run(command, cwd=tree, env=environment(tree), capture_output=True, text=True, check=False)
    assert "GreetPeople belongs to flows.throwaway.greet.greet_people" in done.stderr


@pytest.mark.prefect
@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("name", [name for name, row in OPERATIONS.items() if row.rights == "admin"])
def test_what_a_row_says_is_the_admins_is_refused_to_others(name: str) -> None:
    row = OPERATIONS[name]
    required = [field for field, facts in row.request.model_fields.items() if facts.is_required()]
    choices = {"state": "Disabled", "kind": "url", "catalogue": {}}
    asked = {field: choices.get(field, "default") for field in required}
    with pytest.raises(InvalidRequest, match="only it may"):
        row.load()(row.request.model_validate({**asked, "account": "eve"}))
