"""A Prefect server, workers on hosts of their own and a slow source, shared by the tests that kill."""

import hashlib
import multiprocessing
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerContext
from pathlib import Path
from random import Random

import pytest

from catalog import open_catalog
from catalog.records import Image
from catalog.repository.catalog import Catalog
from catalog.settings import Settings
from storage.protocols import ImageStorage
from storage.registry import open_image_storage
from tests.services import s3
from tests.services.nginx import Nginx, nginx
from tests.services.prefect import PrefectServer, Worker, can_name_hosts, prefect_server, worker

MIB = 1 << 20
S3_KEYS = {"IMAGEWRIGHT_TEST_S3": f"{s3.KEY}:{s3.SECRET}"}
LOADED = ("tests.faults.dying_arrival", "tests.faults.test_compaction_killed")


@dataclass
class Machines:
    """One catalog, one image storage, one Prefect server, and machines that come and go."""

    server: PrefectServer
    home: Path
    folder: Path
    count: int = field(default=0)

    @contextmanager
    def machine(self, *, ours: bool = False, settings: Mapping[str, str] | None = None) -> Iterator[Worker]:
        """Run a worker on a host of its own, as far as this system lets us name hosts. ours, settings: as of `worker`."""
        self.count += 1
        name = f"machine-{self.count}"
        host = name if can_name_hosts() else ""
        with worker(self.server, self.folder / name, host, ours=ours, settings=settings) as started:
            yield started

    @contextmanager
    def catalog(self) -> Iterator[Catalog]:
        """Open the catalog."""
        with open_catalog(f"sqlite:///{self.home}/catalog.db") as catalog:
            yield catalog

    def storage(self) -> ImageStorage:
        """Open the image storage."""
        with self.catalog() as catalog:
            return open_image_storage(catalog.image_storage("default"), settings=Settings(home=self.home))

    def image(self, image_id: str) -> Image:
        """Return an image's record."""
        with self.catalog() as catalog:
            return catalog.image(image_id)

    def kept(self, image_id: str) -> int:
        """Return how many bytes of an image its landing keeps."""
        return sum(one.kept_bytes for one in self.storage().landings() if one.landing_id == image_id)

    def stored(self) -> set[Path]:
        """Return the files of the image storage that hold bytes of images."""
        folders = ("packs", "landings", "manifests", "aside")
        return {p for one in folders for p in (self.home / "imagestore" / one).rglob("*") if p.is_file()}

    def recover(self, stale_after_s: float = 1) -> str:
        """Run recover_runs and return what it prints."""
        done = self.server.command("recover-runs", "--stale-after-s", str(stale_after_s), "--json")
        assert done.returncode == 0, done.stderr
        return done.stdout


@dataclass(frozen=True)
class SlowSource:
    """A file of random bytes behind a server that takes its time and counts what it sends."""

    server: Nginx
    file: Path

    @property
    def url(self) -> str:
        """Where it is."""
        return f"{self.server.url}/{self.file.name}"

    @property
    def size(self) -> int:
        """Its length in bytes."""
        return self.file.stat().st_size

    def fill(self, size: int, seed: int) -> None:
        """Replace the file by `size` other random bytes."""
        aside = self.file.with_suffix(".new")
        random = Random(seed)
        with aside.open("wb") as file:
            for _ in range(size // MIB):
                file.write(random.randbytes(MIB))
        aside.replace(self.file)

    def md5(self) -> str:
        """Its digest."""
        with self.file.open("rb") as file:
            return hashlib.file_digest(file, "md5").hexdigest()


@contextmanager
def slow_source(folder: Path, size: int, rate_mib_s: int) -> Iterator[SlowSource]:
    """Serve `size` random bytes at `rate_mib_s` a connection."""
    root = folder / "www"
    root.mkdir(parents=True)
    with nginx(folder / "nginx", root, server=f"limit_rate {rate_mib_s}m;") as server:
        source = SlowSource(server, root / "image.raw")
        source.fill(size, seed=1)
        yield source


@contextmanager
def started_machines(
    folder: Path,
    cache: pytest.Cache,
    *,
    scheduled: bool = False,
) -> Iterator[Machines]:
    """Run a server and a catalog of their own for machines. scheduled: runs begin by themselves, when they are due."""
    home = folder / "home"
    home.mkdir()
    (folder / "memory").mkdir()
    settings = {
        "IMAGEWRIGHT_HOME": str(home),
        "IMAGEWRIGHT_RECEIVING": str(folder / "memory"),
        "IMAGEWRIGHT_ALLOWED_NETWORKS": "127.0.0.0/8",
        "IMAGEWRIGHT_QUALITY_SOCKET": str(cache.mkdir("quality") / "quality.sock"),
        "IMAGEWRIGHT_RETRY_DELAY_S": "0.05",
        "IMAGEWRIGHT_PARALLEL_RANGES": "1",  # a slow machine may take the server for a distant one
        "IMAGEWRIGHT_CATALOG_URL": "",
        "PATH": os.environ["PATH"],
        **S3_KEYS,
    }
    with prefect_server(folder / "server", cache.mkdir("prefect"), settings, scheduled=scheduled) as server:
        server.command("storages")  # the catalog's first opening makes the default storages, in its own home
        yield Machines(server, home, folder)


@pytest.fixture(scope="package")
def machines(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Machines]:
    """Yield the machines; the server and the catalog are one for all tests, the images are each test's own."""
    assert request.config.cache is not None
    with started_machines(tmp_path_factory.mktemp("machines"), request.config.cache) as started:
        yield started


@pytest.fixture(scope="session")
def forks() -> ForkServerContext:
    """Return what starts processes that have loaded what adds and compactions need: that takes longer than most that they do."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(LOADED))
    return context
