"""What is no request is refused in our own words, never in those of the library that parsed it."""

import pytest
from pydantic import ValidationError

from flows import requests
from flows.requests.sentences import sentence

ADD = {"name": "a", "image_path": "https://example.org/a.raw"}


@pytest.mark.parametrize(
    ("field", "given", "told"),
    [
        ("name", ["x"], "name: ['x'] is not allowed; a text"),
        ("name", 5, "name: 5 is not allowed; a text"),
        ("image_storages", "a", "image_storages: 'a' is not allowed; a list"),
        ("image_storages", [5], "image_storages: 5 is not allowed; a text"),
        ("labels", {"a": "b"}, "labels: {'a': 'b'} is not allowed; a list"),
    ],
)
def test_a_value_of_another_kind_is_told_by_the_kind_that_is_meant(field: str, given: object, told: str) -> None:
    with pytest.raises(ValidationError) as refused:
        requests.AddSystemImage.model_validate({**ADD, field: given})
    assert sentence(refused.value) == told


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (b"name=a", "request: 'name=a' is not allowed; JSON"),
        (b'{"name":"a\\ud800"}', 'request: \'{"name":"a\\\\ud800"}\' is not allowed; JSON'),
        (b'"x"', "request: 'x' is not allowed; an object"),
        (b"5", "request: 5 is not allowed; an object"),
    ],
)
def test_what_is_no_request_at_all_is_told_so(given: bytes, told: str) -> None:
    with pytest.raises(ValidationError) as refused:
        requests.AddSystemImage.model_validate_json(given)
    assert sentence(refused.value) == told
