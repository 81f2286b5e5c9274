"""Apply an operation to several images, one batch per task run; a failure with one id never stops the others."""

from collections.abc import Callable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass, field
from functools import partial
from typing import Generic, TypeVar

from catalog.errors import CatalogUnavailable, ImagewrightError, SomeFailed, StaleImage
from catalog.settings import load_settings

T = TypeVar("T")
BATCH = 100
"""A task run costs 6 to 9 ms, a change of an image 1: this many share one."""


@dataclass(frozen=True)
class Outcomes(Generic[T]):
    """The outcomes: results in the order of the ids, failures by id."""

    done: tuple[T, ...] = ()
    failed: dict[str, ImagewrightError] = field(default_factory=dict)


def for_each(image_ids: Sequence[str], step: Callable[[str], T]) -> Outcomes[T]:
    """Do a step for every id; keep an id's error for the end."""
    done: list[T] = []
    failed: dict[str, ImagewrightError] = {}
    for image_id in image_ids:
        try:
            done.append(_again_when_overtaken(partial(step, image_id)))
        except ImagewrightError as error:
            failed[image_id] = copy(error)  # the raised one's traceback keeps all objects of its step alive
    return Outcomes(tuple(done), failed)


def _again_when_overtaken(step: Callable[[], T]) -> T:
    """Repeat a step that a concurrent change or a short loss of the database interrupted."""
    from tasks.runtime.retries import persist

    settings, moved = load_settings(), (StaleImage, CatalogUnavailable)
    return persist(step, lambda: 0, settings.retries, settings.retry_delay_s, lambda _: None, only=moved)


def in_batches(
    image_ids: Sequence[str], batch: Callable[[tuple[str, ...]], Outcomes[T]], size: int = BATCH
) -> Outcomes[T]:
    """Call `batch`, a task, with `size` different ids at a time, and join its outcomes."""
    done: list[T] = []
    failed: dict[str, ImagewrightError] = {}
    for ids in cut(tuple(dict.fromkeys(image_ids)), size):
        outcome = batch(tuple(ids))
        done += outcome.done
        failed |= outcome.failed
    return Outcomes(tuple(done), failed)


def cut(items: Sequence[T], size: int = BATCH) -> Iterator[Sequence[T]]:
    """Yield `size` items at a time."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def all_done(operation: str, outcomes: Outcomes[T]) -> tuple[T, ...]:
    """Return the results.

    Raises the error itself if there is only one id, else SomeFailed with every id that failed.
    """
    if not outcomes.failed:
        return outcomes.done
    if not outcomes.done and len(outcomes.failed) == 1:
        raise next(iter(outcomes.failed.values()))
    raise SomeFailed(operation, outcomes.failed, len(outcomes.done))
