"""What is no request is refused in our own words, never in those of the library that parsed it."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from flows import requests
from flows.requests.form import Request
from flows.requests.sentences import sentence, sentence_of_details

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


REQUESTS = [kind for kind in vars(requests).values() if isinstance(kind, type) and issubclass(kind, Request)]
NUMBERS = [
    (kind, name)
    for kind in REQUESTS
    for name, field in kind.model_json_schema()["properties"].items()
    if field.get("type") in ("number", "integer")
]


def test_there_are_numbers() -> None:
    assert (requests.AddSystemImage, "patience_s") in NUMBERS


@pytest.mark.parametrize(("kind", "name"), NUMBERS)
@pytest.mark.parametrize("given", ["1e400", "NaN", "-Infinity", "1e300", "1" * 40, "-1"])
def test_a_number_beyond_all_use_is_refused_with_its_limit(kind: type[Request], name: str, given: str) -> None:
    with pytest.raises(ValidationError) as refused:
        kind.model_validate_json(f'{{"{name}": {given}}}')
    said = [one for one in refused.value.errors() if one["loc"] == (name,)]
    assert len(said) == 1
    assert sentence_of_details(said[0], name).startswith(f"{name}: ")
    assert "Input" not in sentence_of_details(said[0], name)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just("x" * 5000),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


@given(st.sampled_from(REQUESTS), st.data())
@settings(max_examples=300)
def test_nothing_is_told_in_the_words_of_the_library(kind: type[Request], data: st.DataObject) -> None:
    given_values = {name: data.draw(VALUES, name) for name in kind.model_fields}
    try:
        kind.model_validate(given_values)
    except ValidationError as refused:
        for one in refused.errors():
            told = sentence_of_details(one, "field")
            assert not re.search(
                r"(Input|String|Tuple|List|Dictionary|Value|Datetime|Assertion) (should|error|failed)", told
            )
