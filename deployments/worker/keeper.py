"""The one process at a time that runs are forked from: begun anew when code or settings changed, and every so often."""

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import Self

from deployments.worker.fingerprint import fingerprint, lasting
from deployments.worker.forks import Forked, ForkingParent, NotPreloaded
from deployments.worker.orders import Order

MOST_FORKED = 1000
"""Runs of one process: whatever a library of it may leak or cut, it does not last."""
LOOK_S = 1.0
"""How long it is believed that nothing changed."""
AGAIN_S = 60.0
"""How long after a failure runs are started the slow way before it is tried again with the same code and settings."""

log = logging.getLogger("prefect.imagewright.worker")


class Keeper:
    """Hands out forked processes, of the present code and settings. An async context."""

    def __init__(self) -> None:
        self._parent: ForkingParent | None = None
        self._loaded = ""
        self._looked_at = 0.0
        self._failed: tuple[str, float] = ("", 0.0)
        self._one_at_a_time = asyncio.Lock()
        self._retired: set[asyncio.Task[None]] = set()

    async def fork(self, order: Order) -> Forked:
        """Have a process forked for an order. Raises NotPreloaded."""
        parent = await self._present(lasting(order.environment))
        try:
            return await parent.fork(order)
        except NotPreloaded:
            if parent.alive:
                raise
        return await (await self._present(lasting(order.environment))).fork(order)

    async def ready(self, environment: Mapping[str, str | None]) -> None:
        """Have a process ready for runs with this environment. Raises NotPreloaded."""
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
        """Let the present process go, with its last run."""
        if self._parent is not None:
            self._parent.retire()
            waited = asyncio.create_task(self._parent.wait())
            self._retired.add(waited)
            waited.add_done_callback(self._retired.discard)
            self._parent = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Let it go, and wait for its runs and those of its predecessors."""
        self._retire()
        await asyncio.gather(*self._retired)
