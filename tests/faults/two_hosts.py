"""Two hosts that share a Prefect server, a catalog in PostgreSQL and a bucket over a network; one of them can be cut off from all of it.

The host has a network of its own, and reaches what is shared, and the source, over one link. A link that is down tells nobody:
connections stay open and silent, as with a switch that lost its power. The scheduler is on, with the schedules as deployed.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from catalog import open_catalog
from catalog.records import ImageStatus
from catalog.settings import Settings
from flows.server.same_catalog import remember_server
from storage.protocols import LandingInfo
from storage.registry import open_image_storage
from tests.faults.conftest import MIB, SlowSource, slow_source
from tests.services import postgresql, s3
from tests.services.networks import Network, namespace
from tests.services.prefect import PrefectServer, Worker, can_name_hosts, prefect_server, worker
from tests.services.proxy import proxy

PREFIX = "10.203.13"
US, KEYS = f"{PREFIX}.1", f"{s3.KEY}:{s3.SECRET}"


@dataclass(frozen=True)
class Site:
    """What hosts share, as both reach it, and the network of the one that is cut off."""

    server: PrefectServer
    network: Network
    root: Path
    catalog_url: str

    @contextmanager
    def host(self, name: str, *, far: bool, clock: str = "") -> Iterator[Worker]:
        """Run a worker with a home of its own. far: in the network that can be cut off; clock: as of `worker`."""
        settings = host_settings(self.root, name, self.catalog_url)
        remember_server(
            Settings(home=Path(settings["IMAGEWRIGHT_HOME"]), catalog_url=self.catalog_url), self.server.api
        )
        named = name if can_name_hosts() else ""
        network, folder = self.network.name if far else "", self.root / f"worker-{name}"
        with worker(self.server, folder, named, settings=settings, ours=True, network=network, clock=clock) as started:
            yield started

    def add(self, name: str, url: str, image_format: str = "raw") -> str:
        """Start an add into the bucket; return its run."""
        wanted = {"name": name, "image_format": image_format, "image_path": url, "image_storages": ["far"]}
        return self.server.start("add-volume-image", wanted)

    def wait_until_kept(self, runs: list[str], size: int, within_s: float = 240) -> None:
        """Wait until so many bytes of each run's image are in the bucket."""
        until, kept = time.monotonic() + within_s, dict.fromkeys(runs, 0)
        while min(kept[run] for run in runs) < size:
            assert time.monotonic() < until, kept
            time.sleep(0.5)
            kept |= {one.landing_id: one.kept_bytes for one in self.landings()}

    def landings(self) -> Iterator[LandingInfo]:
        """Return what lies in the bucket of unfinished images."""
        with open_catalog(self.catalog_url) as catalog:
            storage = open_image_storage(catalog.image_storage("far"), settings=Settings(), credentials=KEYS)
        yield from storage.landings()


def host_settings(root: Path, name: str, catalog_url: str) -> dict[str, str]:
    """Return the environment of a host, its folders made."""
    home, memory = root / name / "home", root / name / "memory"
    for folder in (home, memory):
        folder.mkdir(parents=True, exist_ok=True)
    return {
        "IMAGEWRIGHT_HOST": name, "IMAGEWRIGHT_HOME": str(home), "IMAGEWRIGHT_RECEIVING": str(memory),
        "IMAGEWRIGHT_CATALOG_URL": catalog_url, "IMAGEWRIGHT_ALLOWED_NETWORKS": f"127.0.0.0/8,{PREFIX}.0/24",
        "IMAGEWRIGHT_SERVER_HOSTS": US, "IMAGEWRIGHT_TEST_S3": KEYS, "IMAGEWRIGHT_PARALLEL_RANGES": "1",
    }  # fmt: skip


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2].partition("/")[0])


@contextmanager
def two_hosts(root: Path, cache: Path) -> Iterator[Site]:
    """Start what the hosts share, each behind a port of ours that both reach. cache: as of `prefect_server`."""
    (root / "s3").mkdir()
    with ExitStack() as stack:
        network = stack.enter_context(namespace(PREFIX))

        def reached(target: int | Path) -> str:
            return f"{US}:{stack.enter_context(proxy(target, at=US)).port}"

        catalog_url = far_catalog(reached)
        bucket, _ = stack.enter_context(s3.stoppable(root / "s3"))
        settings = host_settings(root, "near", catalog_url)
        server = stack.enter_context(prefect_server(root / "server", cache, settings, scheduled=True))
        made = server.command(
            "register-image-storage", "--name", "far", "--kind", "imagestore", "--url", f"s3://{s3.BUCKET}/cut",
            "--endpoint", f"http://{reached(port_of(bucket.endpoint))}", "--credentials", "env:IMAGEWRIGHT_TEST_S3",
        )  # fmt: skip
        assert made.returncode == 0, made.stderr
        yield Site(known_as(server, f"http://{reached(port_of(server.api))}/api"), network, root, catalog_url)


def far_catalog(reached: Callable[[int | Path], str]) -> str:
    """Return the URL of a new catalog in PostgreSQL, over TCP."""
    url = postgresql.new_database()
    folder = url.partition("?host=")[2]
    name = urlsplit(url).path
    return f"postgresql+psycopg://postgres@{reached(Path(folder) / '.s.PGSQL.5432')}{name}"


def known_as(server: PrefectServer, api: str) -> PrefectServer:
    """Return a server under the address at which all hosts reach it."""
    return replace(server, api=api, environment={**server.environment, "PREFECT_API_URL": api})


def assert_ready_once(site: Site, runs: list[str], name: str, md5: str) -> None:
    """Check that each add became one image, whole, and that nothing is left of attempts."""
    with open_catalog(site.catalog_url) as catalog:
        images = [image for image in catalog.images() if image.name == name]
        assert sorted(image.id for image in images) == sorted(runs), "no duplicates"
        assert {(image.status, image.error, image.md5) for image in images} == {(ImageStatus.READY, None, md5)}
        assert not list(catalog.reservations())
        assert {len(list(catalog.replicas(run))) for run in runs} == {1}
    assert not {one.landing_id for one in site.landings()} & set(runs)


@contextmanager
def slow(folder: Path) -> Iterator[SlowSource]:
    """Serve an image to both hosts, slowly enough that it is under way when the network is cut."""
    with slow_source(folder, 64 * MIB, rate_mib_s=2) as source, proxy(port_of(source.server.url), at=US) as way:
        yield replace(source, server=replace(source.server, url=f"http://{US}:{way.port}"))


def name_of(source: SlowSource) -> str:
    """Return the name of all images that are added from a source."""
    return f"from-{port_of(source.server.url)}"
