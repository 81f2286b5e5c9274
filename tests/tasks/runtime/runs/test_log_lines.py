"""Logs as lines of JSON: from a process of its own, since Prefect sets logging up when it is imported."""

import json
import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from tasks.runtime.runs.log_lines import images_of

PROGRAM = """
import logging, sys, threading
from catalog.settings import load_settings
from flows.server.environment import prepare
prepare(load_settings())
import flows
flows.export_image  # loads Prefect, which sets logging up
from flows.requests import ExportImage
logging.getLogger("imagewright.catalog").warning("outside of %s", "a run")
from tasks.images import export
def said(*_, **__):
    from prefect import get_run_logger
    get_run_logger().warning("inside")
    thread = threading.Thread(target=logging.getLogger("imagewright.pipeline").warning, args=("beside",)); thread.start(); thread.join()
    raise ValueError("a defect")
import flows.images.export as module
module.export = said
try:
    flows.export_image(ExportImage(image_id=sys.argv[1]))
except ValueError:
    logging.getLogger("imagewright.x").exception("it failed")
"""


@pytest.mark.prefect
def test_every_line_is_json_and_names_run_and_image(home: Path) -> None:
    image_id = str(uuid.uuid4())
    silenced = "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"  # by a command of an earlier test in this process
    inherited = {name: value for name, value in os.environ.items() if name != silenced}
    environment = {**inherited, "IMAGEWRIGHT_LOG_FORMAT": "json"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, image_id],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    by_message = {line["message"]: line for line in lines}
    outside, inside, failed = (by_message[said] for said in ("outside of a run", "inside", "it failed"))
    assert (outside["level"], outside["logger"], "run_id" in outside) == ("WARNING", "imagewright.catalog", False)
    assert outside["at"].endswith("+00:00")
    assert (inside["image_id"], inside["flow"]) == (image_id, "export-image")
    assert str(uuid.UUID(inside["run_id"])) == inside["run_id"]
    assert "ValueError: a defect" in failed["exc_info"]


@pytest.mark.parametrize(
    ("flow", "request_", "found"),
    [
        ("add-system-image", {"name": "x"}, {"image_id": "run"}),
        ("add-system-image", {"image_id": "i"}, {"image_id": "i"}),
        ("delete-image", {"image_ids": ["a"]}, {"image_id": "a"}),
        ("delete-image", {"image_ids": ["a", "b"]}, {"image_ids": ["a", "b"]}),
        ("reclaim-space", {}, {}),
    ],
)
def test_which_images_a_run_is_about(flow: str, request_: dict[str, object], found: dict[str, object]) -> None:
    assert images_of(flow, {"request": request_}, "run") == found
