"""`/healthz`, `/readyz` and `/metrics`."""

from importlib.metadata import version

from prometheus_client import CollectorRegistry, GCCollector, Info, PlatformCollector, ProcessCollector
from prometheus_client.exposition import choose_encoder
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from catalog.settings import Settings
from console.health.catalog_metrics import CatalogMetrics
from console.health.checks import readiness
from console.health.run_metrics import RunMetrics
from console.health.storage_metrics import StorageMetrics
from console.thread_pools import Waiting


class Health:
    """The endpoints. prefect_url, auth: of Prefect's API."""

    def __init__(self, settings: Settings, prefect_url: str, auth: str) -> None:
        self._registry = CollectorRegistry()
        self._catalog = CatalogMetrics(settings, self._registry)
        self._runs = RunMetrics(prefect_url, auth, self._registry)
        self._storages = StorageMetrics(settings)
        self._registry.register(self._storages)
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self._registry)
        Info("imagewright", "Which version serves.", registry=self._registry).info({"version": version("imagewright")})
        self._asked = Waiting("the state of the service", threads=4, queue=16, limit_s=10)

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/healthz", self.alive),
            Route("/readyz", self.ready),
            Route("/metrics", self.metrics),
        ]

    async def alive(self, _request: Request) -> Response:
        """Answer that the process is alive, without any check."""
        return JSONResponse({"alive": True})

    async def ready(self, _request: Request) -> Response:
        """Answer whether requests can be served: 200 or 503, with a sentence for each part."""
        found = await self._asked(readiness, self._catalog, self._runs, self._storages)
        return JSONResponse(found.model_dump(mode="json"), 200 if found.ready else 503)

    async def metrics(self, request: Request) -> Response:
        """Return all metrics in the text format that the scraper prefers."""
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return Response(await self._asked(encode, self._registry), media_type=content_type)
