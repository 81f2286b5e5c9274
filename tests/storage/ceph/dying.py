"""Librbd calls that a death interrupts: before or after the Nth change to the pool."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import pytest

from storage.ceph.client.bindings import load

IMAGE_CALLS = ("metadata_set", "metadata_remove", "create_snap", "protect_snap", "unprotect_snap", "remove_snap", "resize")  # fmt: skip
POOL_CALLS = ("create", "remove", "rename", "trash_remove")


class Died(BaseException):
    """What a SIGKILL would be: nothing of ours catches it."""


class Death:
    """Counts the changes made to a pool, and dies at one of them."""

    current: "Death"

    def __init__(self, at: int, *, after: bool) -> None:
        self.at, self.after, self.calls = at, after, 0
        self.dead = False

    def around(self, call: object, *arguments: object, **options: object) -> object:
        """Make a change, unless death comes first; a dead process makes none."""
        assert callable(call)
        self.calls += 1
        if self.dead or (self.calls == self.at and not self.after):
            self._die()
        result = call(*arguments, **options)
        if self.calls == self.at:
            self._die()
        return result

    def _die(self) -> None:
        self.dead = True
        raise Died


@contextmanager
def dying(at: int, *, after: bool, monkeypatch: pytest.MonkeyPatch) -> Iterator[Death]:
    """Let the process "die" at the Nth change that librbd is asked for while this lasts."""
    Death.current, rbd = Death(at, after=after), load().rbd
    image, pool = _mortal()
    with monkeypatch.context() as patch:
        patch.setattr(rbd, "Image", image)
        patch.setattr(rbd, "RBD", pool)
        yield Death.current


@cache
def _mortal() -> tuple[type, type]:
    """Make the classes once: instances outlive the tests, and close themselves by way of their class."""
    return _shadow(load().rbd.Image, IMAGE_CALLS), _shadow(load().rbd.RBD, POOL_CALLS)


def _shadow(parent: type, names: tuple[str, ...]) -> type:
    def method(name: str) -> object:
        return lambda self, *a, **o: Death.current.around(getattr(super(made, self), name), *a, **o)

    made: type = type(parent.__name__, (parent,), {name: method(name) for name in names})
    return made
