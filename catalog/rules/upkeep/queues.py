"""The queue of the work pool that a run waits in, by its operation and by the host that it must run on."""

from collections.abc import Mapping
from typing import Literal, get_args

Queue = Literal["recovery", "prompt", "bulk"]
"""recovery: brings dead runs back; prompt: ends at once, or a person waits for it; bulk: moves bytes."""
PRIORITY: Mapping[Queue, int] = {"recovery": 1, "prompt": 2, "bulk": 3}
"""A queue's priority in the work pool, 1 first. Each also has its own slots, so none waits for a slower one."""


def queue_name(queue: Queue, host: str | None = None) -> str:
    """Return a queue's name in the work pool. host: required by the run, as `IMAGEWRIGHT_HOST` names it; None: any.

    A host has two queues: `host-NAME` for runs that move bytes, and `host-NAME:prompt` for all that must not wait
    behind them.
    """
    if host is None:
        return queue
    return f"host-{host}" if queue == "bulk" else f"host-{host}:prompt"


def on_host(waits: str | None, host: str) -> str:
    """Return the queue of a host that corresponds to a queue of all hosts. waits: None for Prefect's default queue."""
    return queue_name("prompt" if waits in {"recovery", "prompt"} else "bulk", host)


def own_queues(host: str) -> tuple[str, ...]:
    """Return the queues that only this host serves."""
    return (queue_name("prompt", host), queue_name("bulk", host))


UNNAMED = "default"
"""Prefect's default queue of a pool, for runs that were not created by our deployments."""


def queues_served(queue: Queue, host: str) -> tuple[str, ...]:
    """Return the queues that the slots of `queue` serve on a host: the shared one and the host's own."""
    own = () if queue == "recovery" else (queue_name(queue, host),)
    unnamed = (UNNAMED,) if queue == "bulk" else ()
    return (queue_name(queue), *own, *unnamed)


def served_on(host: str) -> tuple[str, ...]:
    """Return every queue that a host serves, the most urgent first."""
    return tuple(dict.fromkeys(name for queue in get_args(Queue) for name in queues_served(queue, host)))


def queues_of_all_hosts() -> Mapping[str, int | None]:
    """Return the queues shared by all hosts, the most urgent first, each with its priority."""
    return {queue_name(queue): PRIORITY[queue] for queue in get_args(Queue)}
