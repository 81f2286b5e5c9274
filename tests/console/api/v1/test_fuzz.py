"""The whole API, asked as its own document allows and as it does not: nothing but what is documented is answered, and no defect.

The document decides what is tried (schemathesis); whoever asks is nobody, or an administrator, who gets furthest.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import APIOperation, Case, SerializationContext
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode
from schemathesis.schemas import BaseSchema
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from catalog.settings import load_settings
from console.app import create_app
from tests.console.api.v1.people import AUTH, ROLES, everybody

Operation: TypeAlias = APIOperation[Any, Any, Any, Any]
CHECKS = [status_code_conformance, content_type_conformance, response_headers_conformance, response_schema_conformance]
WAITS_FOR = ("ServerUnavailable", "TookTooLong", "ProviderUnavailable")
"""What is answered where nobody serves: 503 is documented, and means no defect of ours."""
WHO = ("nobody", *ROLES, "scoped robot", "expired robot")
LEFT_OUT = ("/runs/{run_id}/events",)
"""What never ends by itself."""


@schemathesis.serializer("application/offset+octet-stream")
def piece(_context: SerializationContext, value: object) -> bytes:
    """Send what was made for the bytes of a file as it is."""
    return value if isinstance(value, bytes) else str(value).encode(errors="replace")


@pytest.fixture
def schema(
    home: Path, cheap_passwords: None, nobody_serves: None, monkeypatch: pytest.MonkeyPatch
) -> tuple[BaseSchema, Mapping[str, dict[str, str]]]:
    monkeypatch.setenv("IMAGEWRIGHT_CONSOLE_HOSTS", "testserver,localhost")  # as its clients call us
    people = everybody()
    app = create_app(load_settings(), AUTH)
    return schemathesis.openapi.from_asgi("/api/v1/openapi.json", app), people


def calls(schema: BaseSchema) -> Iterator[Operation]:
    for found in schema.get_all_operations():
        assert isinstance(found, Ok), found
        operation = found.ok()
        if not any(operation.path.endswith(path) for path in LEFT_OUT):
            yield operation


def asked(operation: Operation, headers: Mapping[str, str], examples: int, mode: GenerationMode) -> None:
    """Ask a call as often as that, and judge every answer."""

    @seed(7)
    @settings(
        max_examples=examples, database=None, deadline=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Case[Any]) -> None:
        response = case.call(headers=dict(headers))
        kind = response.json().get("type") if response.status_code == 503 else ""
        assert response.status_code < 500 or kind in WAITS_FOR, (operation.label, response.text)
        case.validate_response(response, checks=CHECKS)

    with suppress(Unsatisfiable):  # of a call that takes nothing, nothing can be asked wrongly
        ask()


def test_some_calls_answer_what_is_documented(schema: tuple[BaseSchema, Mapping[str, dict[str, str]]]) -> None:
    found, people = schema
    of_rows = iter(range(1000))
    for number, operation in enumerate(calls(found)):
        if "/operations/" in operation.path and next(of_rows) % 6:  # all of them go one way
            continue
        mode = GenerationMode.POSITIVE if number % 2 else GenerationMode.NEGATIVE
        asked(operation, people["nobody" if number % 5 == 0 else "root"], 1, mode)


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("who", WHO)
def test_all_calls_answer_what_is_documented(
    schema: tuple[BaseSchema, Mapping[str, dict[str, str]]], who: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("httpx"), "disabled", True)
    found, people = schema
    for operation in calls(found):
        for mode in GenerationMode:
            asked(operation, people[who], 60, mode)
