"""Moves of families in processes that are killed at the Nth step they take outside themselves.

    python -m tests.faults.dying_family

Reads one JSON document a line: `{"move": name in MOVES, "given": {...}, "die_at": N, "settings": {...}}`, N 0 for never, settings as in the
environment. What shall die is made in a fork, the rest in this process, so that nothing is imported, compiled or worded twice; what is
printed for it is how that ended (its exit status, negative: the signal) and how many steps it took.

A step is a statement that changes the catalog, its commit, the moment after it, a program that is started, a connection that is
opened, a file that is named or removed: as SQLAlchemy's and Python's own hooks tell. A death between two of them, at a statement that
only reads, leaves what a death at the second one leaves. Nothing of ours is replaced.
"""

import gc
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.pool import Pool

from catalog import open_catalog
from tasks.promotion.promote import promote
from tasks.promotion.recall import recall
from tasks.promotion.rollback import leave_unusable, roll_back
from tasks.promotion.settle import settle

CHANGES = ("INSERT", "UPDATE", "DELETE")
AUDITED = ("subprocess.Popen", "socket.connect", "os.rename", "os.remove", "os.link", "os.mkdir")


def _promote(image: str, family: str) -> object:
    return promote.fn(image, family, "it is newer", "admin")


def _roll_back(image: str, family: str) -> object:
    return roll_back.fn(family, "x86_64", image, "it is worse", "admin")


def _recall(image: str, family: str) -> object:
    return recall.fn(image, f"a hole in {family}", "admin", descendants=True)


def _settle(image: str, family: str) -> object:
    with open_catalog() as catalog:
        found = catalog.image(image)
    return settle.fn(f"watch of {family}", found)


def _leave(image: str, family: str) -> object:
    return leave_unusable.fn()


MOVES: Mapping[str, Callable[[str, str], object]] = {
    "promote": _promote, "roll back": _roll_back, "recall": _recall, "settle": _settle, "leave": _leave,
}  # fmt: skip


class Steps:
    """Counts the steps of a move, and kills this process just before number `at`."""

    def __init__(self) -> None:
        self.at, self.count, self.wrote = 0, 0, False

    def begin(self, at: int) -> None:
        """Count from now on."""
        self.at, self.count, self.wrote = at, 0, False

    def statement(self, _connection: object, _cursor: object, text: str, *_: object) -> None:
        if text.lstrip()[:6].upper() in CHANGES:
            self.wrote = True
            self.step()

    def commit(self, *_: object) -> None:
        if self.wrote:
            self.step()

    def committed(self, *_: object) -> None:
        if self.wrote:
            self.wrote = False
            self.step()

    def step(self) -> None:
        self.count += 1
        if self.count == self.at:
            os.kill(os.getpid(), signal.SIGKILL)

    def watch(self) -> None:
        """Listen, in this process and its forks."""
        sa.event.listen(sa.Engine, "before_cursor_execute", self.statement)
        sa.event.listen(sa.Engine, "commit", self.commit)
        sa.event.listen(Pool, "checkin", self.committed)
        sys.addaudithook(lambda event, _: self.step() if event in AUDITED else None)


@dataclass(frozen=True)
class Asked:
    """A move that is asked for."""

    move: str
    given: Mapping[str, str]
    die_at: int
    settings: Mapping[str, str]

    def made(self, steps: Steps) -> int:
        """Make it; return its exit status."""
        os.environ.update(self.settings)
        steps.begin(self.die_at)
        try:
            MOVES[self.move](self.given["image"], self.given["family"])
        except Exception as error:  # noqa: BLE001  # the next is asked for all the same
            print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
            return 1
        return 0

    def made_in_a_fork(self, steps: Steps) -> int:
        """Make it in a process of its own; return its exit status."""
        gc.freeze()  # else the fork's own collection would copy the pages of everything imported
        child = os.fork()
        if not child:
            try:
                os._exit(self.made(steps))
            finally:
                os._exit(1)  # a fork must not go on as its parent would
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main() -> None:
    steps = Steps()
    steps.watch()
    for line in sys.stdin:
        asked = Asked(**json.loads(line))
        status = asked.made_in_a_fork(steps) if asked.die_at else asked.made(steps)
        print(status, steps.count, flush=True)


if __name__ == "__main__":
    main()
