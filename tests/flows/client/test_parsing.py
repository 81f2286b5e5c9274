"""Records of a service that is newer, or that is none."""

import json
from uuid import UUID

import pytest

from catalog.errors import IllegalTransition
from catalog.records import CleanupReport, Image, Plan
from flows.client.errors import AnswerNotUnderstood, RunFailed
from flows.client.parsing import parsed
from flows.client.problems import failure
from flows.client.records import RunState
from flows.client.returned import returned
from tests.catalog.samples import an_image

RUN = "0c9d6f6e-4a1b-4f6b-8a55-6b8c3a1f2e10"


def test_what_a_newer_service_says_besides_is_left_out() -> None:
    image = an_image(status="Ready")
    said = {**json.loads(image.model_dump_json()), "mood": "good", "quality": {
        "suite": "image", "success": True, "checks": [{"name": "a", "success": True, "sentence": "b", "new": 1}],
        "checked_at": "2026-01-01T00:00:00Z", "more": 2,
    }}  # fmt: skip
    for form in (said, json.dumps(said).encode()):
        found = parsed(Image, form, "here")
        assert (found.id, found.quality is not None) == (image.id, True)


def test_what_an_operation_returned_is_its_record() -> None:
    image = json.loads(an_image(status="Ready").model_dump_json())
    assert isinstance(returned("delete_image", [image, image], "here"), tuple)
    assert isinstance(returned("edit_image", image, "here"), Image)
    assert isinstance(returned("edit_image", {"operation": "edit", "actions": []}, "here"), Plan)
    assert isinstance(returned("clean_image_cache", {"items": []}, "here"), CleanupReport)
    assert returned("edit_image", None, "here") is None
    wrongs: tuple[object, ...] = ({}, [1], "text", [{"id": 5}])
    for wrong in wrongs:
        with pytest.raises(AnswerNotUnderstood, match="edit_image never returns"):
            returned("edit_image", wrong, "here")
    with pytest.raises(AnswerNotUnderstood, match="not known here"):
        returned("paint_image", image, "here")


def test_what_a_run_failed_with_is_raised_as_it_was() -> None:
    error: dict[str, object] = {
        "type": "IllegalTransition",
        "detail": "image x is Error",
        "status": "Error",
        "thing": "image x",
    }
    found = failure(RunState(run=UUID(RUN), state="Failed", finished=True, failed=True, error=error))
    assert isinstance(found, IllegalTransition)
    assert (str(found), found.status, found.thing) == ("image x is Error", "Error", "image x")
    died = failure(RunState(run=UUID(RUN), state="Crashed", finished=True, failed=True, message="its worker\ndied"))
    assert isinstance(died, RunFailed)
    assert f"run {RUN} is Crashed: its worker died" in str(died)
