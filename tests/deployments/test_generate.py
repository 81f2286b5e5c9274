"""What is written from the rows is what stands in the tree, and what the rows name is there."""

import os
import subprocess
import sys
from pathlib import Path
from string import Formatter

import pytest
from prefect.client.schemas.schedules import CronSchedule
from prefect.utilities.callables import parameter_schema
from prefect.utilities.importtools import import_object

from catalog.rules.images.transitions import TABLE
from deployments.apply import form
from deployments.definitions import ROOT, definitions
from deployments.generate import FILES
from flows.registry import OPERATIONS, operation
from flows.requests import ChangingRequest


@pytest.mark.parametrize("name", FILES)
def test_a_generated_file_is_as_the_rows_say(name: str) -> None:
    assert (ROOT / name).read_text() == FILES[name](), "run `make generate`"


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_row_names_its_flow_and_a_deployment_can_load_it(name: str) -> None:
    (entrypoint,) = (row.entrypoint for row in definitions() if row.name == OPERATIONS[name].deployment)
    flow = import_object(entrypoint)
    assert flow.name == OPERATIONS[name].deployment
    assert flow.fn.__annotations__["request"] is OPERATIONS[name].request
    assert form(OPERATIONS[name].request) == parameter_schema(flow).model_dump_for_openapi()


def test_help_on_applying_says_what_it_does_and_does_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "deployments.apply", "--help"]
    home = tmp_path / "untouched"
    nobody = {**os.environ, "PREFECT_API_URL": "http://127.0.0.1:9/api", "IMAGEWRIGHT_HOME": str(home)}
    done = subprocess.run(command, env=nobody, cwd=ROOT, check=True, capture_output=True, text=True)
    assert "Create or update" in done.stdout
    assert not home.exists()


@pytest.mark.parametrize("name", OPERATIONS)
def test_what_a_row_says_of_its_request_can_be(name: str) -> None:
    row = OPERATIONS[name]
    fields = row.request.model_fields
    for cron in row.schedules:
        CronSchedule(cron=cron.line, timezone="UTC")
        row.request.model_validate({**row.defaults, **cron.request})
    if row.schedules:
        row.request.model_validate(row.defaults)
    assert not row.transition or row.transition in TABLE
    assert isinstance(row.irreversible, bool) or row.irreversible.partition("=")[0] in fields
    assert not row.irreversible or "plan_only" in fields
    assert {field for _, field, _, _ in Formatter().parse(row.run) if field} <= set(fields)


def test_a_second_operation_of_one_name_is_refused() -> None:
    class VerifyReplicas(ChangingRequest):
        """Another one."""

    with pytest.raises(ValueError, match=r"verify_replicas is an operation of flows\.replicas\.verify already"):
        operation("elsewhere", rights="admin")(VerifyReplicas)
    assert OPERATIONS["verify_replicas"].request is not VerifyReplicas
