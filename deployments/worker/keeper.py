"""Keep the one process that runs are forked from; replace it when code or settings change, and after 1,000 runs."""

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import Self

from deployments.worker.fingerprint import fingerprint, lasting
from deployments.worker.forks import Forked, ForkingParent, NotPreloaded
from deployments.worker.orders import Order

MOST_FORKED = 1000
"""Runs forked from one process before it is replaced, which bounds what its libraries may leak."""
LOOK_S = 1.0
"""How long a fingerprint is trusted before code and settings are looked at again."""
AGAIN_S = 60.0
"""Seconds after a failed start until the same code and settings are tried again; runs start the slow way meanwhile."""

log = logging.getLogger("prefect.imagewright.worker")


class Keeper:
    """Forks processes with the current code and settings. An async context manager."""

    def __init__(self) -> None:
        self._parent: ForkingParent | None = None
        self._loaded = ""
        self._looked_at = 0.0
        self._failed: tuple[str, float] = ("", 0.0)
        self._one_at_a_time = asyncio.Lock()
        self._retired: set[asyncio.Task[None]] = set()

    async def fork(self, order: Order) -> Forked:
        """Fork a process for an order. Raises NotPreloaded."""
        parent = await self._present(lasting(order.environment))
        try:
            return await parent.fork(order)
        except NotPreloaded:
            if parent.alive:
                raise
        return await (await self._present(lasting(order.environment))).fork(order)

    async def ready(self, environment: Mapping[str, str | None]) -> None:
        """Make sure that a process is ready to fork runs with this environment. Raises NotPreloaded."""
        await self._present(lasting(environment))

    async def _present(self, environment: Mapping[str, str]) -> ForkingParent:
        async with self._one_at_a_time:
            parent = self._parent
            usable = parent is not None and parent.alive and parent.forked < MOST_FORKED
            if parent is not None and usable and time.monotonic() - self._looked_at < LOOK_S:
                return parent
            wanted = await asyncio.to_thread(fingerprint, environment)
            self._looked_at = time.monotonic()
            if parent is not None and usable and wanted == self._loaded:
                return parent
            return await self._renew(environment, wanted)

    async def _renew(self, environment: Mapping[str, str], wanted: str) -> ForkingParent:
        self._retire()
        failed, at = self._failed
        if failed == wanted and time.monotonic() - at < AGAIN_S:
            raise NotPreloaded("it failed a moment ago")
        began = time.monotonic()
        try:
            parent = await ForkingParent.start(environment)
        except (NotPreloaded, OSError) as error:
            self._failed = (wanted, time.monotonic())
            log.warning("%s", error)
            raise NotPreloaded(str(error)) from error
        log.info(
            "code and settings loaded in %.1f s; runs are forked from process %s", time.monotonic() - began, parent.pid
        )
        self._parent, self._loaded = parent, wanted
        return parent

    def _retire(self) -> None:
        """Retire the current process; it exits after its last run."""
        if self._parent is not None:
            self._parent.retire()
            waited = asyncio.create_task(self._parent.wait())
            self._retired.add(waited)
            waited.add_done_callback(self._retired.discard)
            self._parent = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Retire the current process; wait for its runs and those of its predecessors."""
        self._retire()
        await asyncio.gather(*self._retired)
