"""`python -m deployments.worker.workers`: run the work pool's runs on this host until SIGTERM or Ctrl-C.

One Prefect worker per kind of queue, each with its own slots, all in this process and all forking from one other.
"""

import asyncio
import os
import signal
import sys
from contextlib import suppress
from typing import get_args

from catalog.loading import loading
from catalog.rules.upkeep.queues import Queue, queues_served, served_on
from catalog.settings import Settings, load_settings
from deployments.definitions import POOL
from deployments.worker.slots import slots_of

POLL_S = "PREFECT_WORKER_QUERY_SECONDS"
USUAL_POLL_S = 5.0
"""Seconds between polls for runs without a notice, such as scheduled runs and runs that waited."""


async def serve(settings: Settings) -> None:
    """Serve all queues until cancelled."""
    from deployments.worker.draining import Draining
    from deployments.worker.keeper import Keeper
    from deployments.worker.launcher import Launcher
    from deployments.worker.notices import Notices
    from deployments.worker.preloaded import PreloadedWorker

    poll_s = float(os.environ.get(POLL_S, USUAL_POLL_S))
    draining = Draining(settings)
    async with Keeper() as keeper, Launcher(keeper) as launcher, asyncio.TaskGroup() as group:
        workers = [
            PreloadedWorker(
                f"{settings.host_name} {queue}",
                queues_served(queue, settings.host_name),
                slots_of(queue, settings),
                launcher,
                keeper,
                draining,
                poll_s,
            )
            for queue in get_args(Queue)
        ]

        def tell() -> None:
            for worker in workers:
                worker.tell()

        notices = Notices(tell, launcher)
        for work in (notices.listen, notices.look, *(worker.serve for worker in workers)):
            group.create_task(work())


async def _until_signal(settings: Settings) -> None:
    serving = asyncio.ensure_future(serve(settings))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, serving.cancel)
    with suppress(asyncio.CancelledError):
        await serving


def plain(settings: Settings) -> list[str]:
    """Return the command of Prefect's own worker for the same queues, the fallback where ours can't run."""
    named = [word for name in served_on(settings.host_name) for word in ("--work-queue", name)]
    return [sys.executable, "-m", "prefect", "worker", "start", "--pool", POOL, "--type", "process", *named]


def main() -> None:
    """Serve until told to stop. With an unsupported version of Prefect, run Prefect's own worker instead."""
    settings = load_settings()
    try:
        with loading(for_good=True):
            import deployments.worker.preloaded  # noqa: F401  # it stands on inner parts of Prefect
    except ImportError as error:
        print(
            f"imagewright: runs are not preloaded with this Prefect ({error}); its own worker serves",
            file=sys.stderr,
            flush=True,
        )
        command = plain(settings)
        os.execv(command[0], command)  # noqa: S606
    asyncio.run(_until_signal(settings))


if __name__ == "__main__":
    main()
