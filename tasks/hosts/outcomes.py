"""Results and errors of runs as JSON in the catalog, where a waiting run on any host can read them."""

import json

import pydantic_core

from catalog import errors, records
from catalog.errors import ImagewrightError, RunLost
from catalog.records import Record, RunOutcome

Result = Record | tuple[Record, ...]


def result_text(result: object) -> str:
    """Return a flow's result as JSON, with the class names of its records."""
    if isinstance(result, Record):
        return json.dumps({"record": type(result).__name__, "value": result.model_dump(mode="json")})
    if isinstance(result, tuple):
        return json.dumps([json.loads(result_text(one)) for one in result])
    raise TypeError(f"a flow returned {type(result).__name__}, which is no record")


def error_text(error: ImagewrightError) -> str:
    """Return an error as JSON: class, sentence and values."""
    told = {"type": type(error).__name__, "sentence": str(error), "values": vars(error)}
    return pydantic_core.to_json(told, fallback=str, inf_nan_mode="null").decode()


def unpacked(outcome: RunOutcome) -> Result:
    """Return a run's result. Raises the run's error, with the same class and sentence."""
    if outcome.error is not None:
        raise _error(outcome)
    return _result(json.loads(outcome.result or "[]"))


def _result(told: object) -> Result:
    if isinstance(told, list):
        return tuple(_record(one) for one in told)
    return _record(told)


def _record(told: object) -> Record:
    assert isinstance(told, dict)
    kind: type[Record] = getattr(records, told["record"])
    return kind.model_validate(told["value"])


def _error(outcome: RunOutcome) -> ImagewrightError:
    told = json.loads(outcome.error or "{}")
    kind = getattr(errors, told["type"], None)
    if not (isinstance(kind, type) and issubclass(kind, ImagewrightError)):
        return RunLost(outcome.run_id, told["sentence"])
    error = kind.__new__(kind, told["sentence"])
    error.__dict__.update(told["values"])
    return error
