"""Runs as the tray shows them are said in the language of the page."""

from pathlib import Path
from uuid import uuid4

import pytest
from prefect.client.schemas.objects import FlowRun
from prefect.states import Failed

from catalog import open_catalog
from catalog.errors import ImageNotFound
from catalog.settings import load_settings
from console.entrance.visitors import OPERATORS
from console.live.jobs import job_of
from console.live.run_watch import Seen
from console.live.telling import jobs_for
from console.look.language import Language, Words
from flows.registry import OPERATIONS

REASON = str(ImageNotFound("a b"))


@pytest.mark.parametrize(("language", "said"), [("en", REASON), ("zh-CN", "没有镜像 'a b'")])
def test_why_a_run_failed_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, language: Language, said: str
) -> None:
    monkeypatch.setenv("IMAGEWRIGHT_HOME", str(tmp_path))
    with open_catalog():
        pass
    message = f"Flow run encountered an exception: ImageNotFound: {REASON}"
    run = FlowRun(flow_id=uuid4(), name="a-run", state=Failed(message=message))
    job = job_of(run, OPERATIONS["delete_image"])
    (told,) = jobs_for(load_settings(), OPERATORS, [Seen(**dict(job), run=run)], Words(language))
    assert str(told["message"]).startswith(said)
