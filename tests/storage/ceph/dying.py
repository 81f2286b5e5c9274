"""Librbd calls that a death interrupts: before or after the Nth change to the pool."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from storage.ceph.bindings import load


class Died(BaseException):
    """What a SIGKILL would be: nothing of ours catches it."""


class Death:
    """Counts the changes made to a pool, and dies at one of them."""

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


IMAGE_CALLS = (
    "metadata_set",
    "metadata_remove",
    "create_snap",
    "protect_snap",
    "unprotect_snap",
    "remove_snap",
    "resize",
)
POOL_CALLS = ("create", "remove", "rename", "trash_remove")


@contextmanager
def dying(at: int, *, after: bool, monkeypatch: pytest.MonkeyPatch) -> Iterator[Death]:
    """Let the process "die" at the Nth change that librbd is asked for while this lasts."""
    death, rbd = Death(at, after=after), load().rbd

    def shadow(parent: type, names: tuple[str, ...]) -> type:
        def method(name: str) -> object:
            return lambda self, *a, **o: death.around(getattr(super(made, self), name), *a, **o)

        made: type = type(parent.__name__, (parent,), {name: method(name) for name in names})
        return made

    with monkeypatch.context() as patch:
        patch.setattr(rbd, "Image", shadow(rbd.Image, IMAGE_CALLS))
        patch.setattr(rbd, "RBD", shadow(rbd.RBD, POOL_CALLS))
        yield death
