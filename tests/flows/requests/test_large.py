"""What Prefect would not take as a run's parameters is said before, and no sentence repeats megabytes."""

from uuid import uuid4

import pytest
from prefect.server.schemas.core import FlowRun  # the server's own limit
from pydantic import ValidationError

from catalog.errors import InvalidRequest
from flows.requests import AddVolumeImage, DeleteImage
from flows.requests.form import MOST_BYTES
from flows.requests.sentences import sentence

IDS = tuple(str(uuid4()) for _ in range(16_000))


def test_a_request_that_prefect_would_not_take_is_refused_with_a_sentence() -> None:
    with pytest.raises(ValidationError) as refused:
        DeleteImage(image_ids=IDS)
    told = sentence(refused.value)
    assert f"at most {MOST_BYTES} bytes" in told
    assert len(told) < 1000


def test_what_is_let_through_prefect_takes() -> None:
    most = DeleteImage(image_ids=IDS[: MOST_BYTES // 40 - 10]).model_dump(mode="json")
    FlowRun(flow_id=uuid4(), parameters={"request": most})


def test_no_sentence_repeats_all_that_was_given() -> None:
    assert len(str(InvalidRequest("name", "x" * 100_000, "less"))) < 1000
    with pytest.raises(ValidationError) as refused:
        AddVolumeImage.model_validate({"name": "x", "image_path": "x", "image_format": "y" * 100_000})
    assert len(sentence(refused.value)) < 1000
