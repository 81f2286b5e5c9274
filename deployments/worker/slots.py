"""The number of slots of a host, for each kind of queue."""

import os

from catalog.rules.upkeep.queues import Queue
from catalog.settings import Settings

RECOVERY, PROMPT = 2, 4
"""Recovery has two operations, one run of each at a time; a prompt operation takes a fraction of a second."""
FOR_A_PROCESSOR = 4
"""Runs that move bytes spend most of their time waiting."""


def slots_of(queue: Queue, settings: Settings) -> int:
    """Return how many runs from a kind of queue this host works on at once."""
    if queue == "bulk":
        return settings.runs_at_once or FOR_A_PROCESSOR * (os.cpu_count() or 1)
    return RECOVERY if queue == "recovery" else PROMPT
