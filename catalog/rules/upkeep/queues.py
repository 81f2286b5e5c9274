"""In which queue of the work pool a run waits for a worker: by what its operation is, and by the host that it must run on."""

from collections.abc import Mapping
from typing import Literal, get_args

Queue = Literal["recovery", "prompt", "bulk"]
"""recovery: what brings dead runs back; prompt: what ends at once, or that a person waits for; bulk: all that moves bytes."""
PRIORITY: Mapping[Queue, int] = {"recovery": 1, "prompt": 2, "bulk": 3}
"""A queue's place in the work pool, 1 first. Each has slots of its own besides: none of them waits for a slower one."""


def queue_name(queue: Queue, host: str | None = None) -> str:
    """Return a queue's name in the work pool. host: that the run has to be on, as `IMAGEWRIGHT_HOST` names it; None: any.

    A host has two queues: `host-NAME` for what moves bytes, and `host-NAME:prompt` for all that must not wait behind it.
    """
    if host is None:
        return queue
    return f"host-{host}" if queue == "bulk" else f"host-{host}:prompt"


def on_host(waits: str | None, host: str) -> str:
    """Return the queue of a host for what waits in a queue of all hosts. waits: None for Prefect's default one."""
    return queue_name("prompt" if waits in {"recovery", "prompt"} else "bulk", host)


def own_queues(host: str) -> tuple[str, ...]:
    """Return the queues that only this host serves."""
    return (queue_name("prompt", host), queue_name("bulk", host))


UNNAMED = "default"
"""Prefect's own queue of a pool: where a run waits that was made beside the deployments."""


def queues_served(queue: Queue, host: str) -> tuple[str, ...]:
    """Return the queues that the slots of `queue` serve on a host: of all hosts, and its own."""
    own = () if queue == "recovery" else (queue_name(queue, host),)
    unnamed = (UNNAMED,) if queue == "bulk" else ()
    return (queue_name(queue), *own, *unnamed)


def served_on(host: str) -> tuple[str, ...]:
    """Return every queue that a host serves, the most urgent first."""
    return tuple(dict.fromkeys(name for queue in get_args(Queue) for name in queues_served(queue, host)))


def queues_of_all_hosts() -> Mapping[str, int | None]:
    """Return the names of the queues that are no host's, the most urgent first, each with its priority."""
    return {queue_name(queue): PRIORITY[queue] for queue in get_args(Queue)}
