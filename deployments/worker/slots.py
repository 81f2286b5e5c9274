"""How many runs a host works on at once, for each kind of queue."""

import os

from catalog.rules.upkeep.queues import Queue
from catalog.settings import Settings

RECOVERY, PROMPT = 2, 4
"""Recovery has two operations, each alone; a prompt one takes a fraction of a second."""
FOR_A_PROCESSOR = 4
"""Runs that move bytes wait for others most of their time."""


def slots_of(queue: Queue, settings: Settings) -> int:
    """Return how many runs of a kind of queue are worked on at once here."""
    if queue == "bulk":
        return settings.runs_at_once or FOR_A_PROCESSOR * (os.cpu_count() or 1)
    return RECOVERY if queue == "recovery" else PROMPT
