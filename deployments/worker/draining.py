"""Whether `imagewright drain-host` has stopped this host from taking new runs."""

import asyncio
import logging
import time

from catalog.errors import ImagewrightError
from catalog.settings import Settings
from tasks.hosts.beat import is_draining

KNOWN_FOR_S = 10.0
"""How long the catalog's answer is cached: a worker asks before each run that it takes."""

log = logging.getLogger("prefect.imagewright.worker")


class Draining:
    """Asks the catalog whether this host is drained; not a SQLite catalog, as no other host could take its runs."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._said, self._until = False, 0.0
        self._asking = asyncio.Lock()

    async def __call__(self) -> bool:
        """Tell whether the host is drained; while the catalog is unavailable, return the last answer."""
        if not self._settings.catalog_is_shared:
            return False
        async with self._asking:
            if time.monotonic() >= self._until:
                await self._ask()
            return self._said

    async def _ask(self) -> None:
        try:
            said = await asyncio.to_thread(is_draining, self._settings)
        except ImagewrightError as error:
            log.warning("whether host %s is drained is not known: %s", self._settings.host_name, error)
        else:
            if said != self._said:
                log.info("host %s takes %s", self._settings.host_name, "no new runs" if said else "runs again")
            self._said = said
        self._until = time.monotonic() + KNOWN_FOR_S
