"""Run checks in parallel, each in its own thread with a time limit: one that hangs is reported and delays no other."""

import time
from collections.abc import Callable, Iterable, Mapping
from contextvars import copy_context
from threading import Thread

from catalog.errors import ImagewrightError
from catalog.records import Record

LIMIT_S = 8.0
"""Time limit for all checks together: a person is waiting."""


class Finding(Record):
    """One result of a check. sentence: the state, and if it is not ok what to do."""

    check: str
    ok: bool
    sentence: str


Examination = Callable[[], Iterable[Finding]]


def examined(examinations: Mapping[str, Examination], limit_s: float = LIMIT_S) -> tuple[Finding, ...]:
    """Return the findings of all checks in their order; a check that does not end is reported as such."""
    found: dict[str, tuple[Finding, ...]] = {}
    threads = {name: _begun(name, examination, found) for name, examination in examinations.items()}
    deadline = time.monotonic() + limit_s
    for thread in threads.values():
        thread.join(max(0.0, deadline - time.monotonic()))
    silent = f"it did not end within {limit_s:g} s; what it asks does not answer, see its network and its log"
    return tuple(
        one for name in examinations for one in found.get(name, (Finding(check=name, ok=False, sentence=silent),))
    )


def _begun(name: str, examination: Examination, found: dict[str, tuple[Finding, ...]]) -> Thread:
    def examine() -> None:
        try:
            found[name] = tuple(examination())
        except ImagewrightError as error:
            found[name] = (Finding(check=name, ok=False, sentence=str(error)),)
        except Exception as error:  # noqa: BLE001  # a defect of an examination is told, and hides no other
            sentence = f"it could not be examined: {type(error).__name__}: {' '.join(str(error).split())}"
            found[name] = (Finding(check=name, ok=False, sentence=sentence),)

    thread = Thread(target=copy_context().run, args=(examine,), daemon=True)
    thread.start()
    return thread
