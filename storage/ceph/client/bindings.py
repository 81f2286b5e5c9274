"""A typed view of Debian's rados and rbd bindings, loaded without adding their folder to the import path.

The two extension modules are built for one Python (3.11 on Debian 12). Their folder also holds every other Debian
Python package, so it never goes on sys.path: those packages would shadow the locked ones.
"""
# ruff: noqa: D102  # the methods are those of rados and rbd, described there

import importlib.util
import sys
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from functools import cache
from importlib.machinery import PathFinder
from types import ModuleType
from typing import NamedTuple, Protocol, TypedDict, cast

from catalog.errors import MissingProgram

DEBIAN_PACKAGES = "/usr/lib/python3/dist-packages"


class Completion(Protocol):
    """A finished or running asynchronous operation."""

    def get_return_value(self) -> int:
        """Return bytes read, 0, or a negative errno."""
        ...


class Pool(Protocol):
    """An open pool (rados.Ioctx)."""

    def read(self, key: str, length: int = ..., offset: int = ...) -> bytes: ...
    def write(self, key: str, data: bytes, offset: int = ...) -> int: ...
    def write_full(self, key: str, data: bytes) -> int: ...
    def aio_write(
        self, object_name: str, to_write: bytes, offset: int, oncomplete: Callable[[Completion], None]
    ) -> Completion: ...
    def stat(self, key: str) -> tuple[int, object]: ...
    def trunc(self, key: str, size: int) -> int: ...
    def remove_object(self, key: str) -> bool: ...
    def set_osdmap_full_try(self) -> None: ...
    def close(self) -> None: ...


class Cluster(Protocol):
    """A connection to a cluster (rados.Rados)."""

    def connect(self, timeout: int = ...) -> None: ...
    def open_ioctx(self, ioctx_name: str) -> Pool: ...
    def mon_command(self, cmd: str, inbuf: bytes, timeout: int = ...) -> tuple[int, bytes, str]: ...
    def get_fsid(self) -> str: ...
    def get_instance_id(self) -> int: ...
    def blocklist_add(self, client_address: str, expire_seconds: int = ...) -> None: ...
    def wait_for_latest_osdmap(self) -> int: ...
    def shutdown(self) -> None: ...


class LockOwner(TypedDict):
    """The owner of an image's exclusive lock."""

    mode: int
    owner: str


class Watcher(TypedDict):
    """A client that has an image open for writing. id: the client's id."""

    addr: str
    id: int


class Snapshot(TypedDict):
    """A snapshot of an image."""

    id: int
    size: int
    name: str


class Child(TypedDict):
    """A clone of an image."""

    pool: str
    pool_namespace: str
    image: str
    trash: bool


class Trashed(TypedDict):
    """An image in a pool's trash. deferment_end_time: naive UTC; the image must be kept until then."""

    id: str
    name: str
    deferment_end_time: datetime


class ImageStat(TypedDict):
    """Layout of an image."""

    size: int
    obj_size: int
    num_objs: int
    block_name_prefix: str


class RbdImage(Protocol):
    """An open image (rbd.Image)."""

    def aio_write(self, data: bytes, offset: int, oncomplete: Callable[[Completion], None]) -> Completion: ...
    def aio_read(
        self, offset: int, length: int, oncomplete: Callable[[Completion, bytes | None], None]
    ) -> Completion: ...
    def read(self, offset: int, length: int) -> bytes: ...
    def write(self, data: bytes, offset: int) -> int: ...
    def discard(self, offset: int, length: int) -> int: ...
    def size(self) -> int: ...
    def stat(self) -> ImageStat: ...
    def id(self) -> str: ...
    def resize(self, size: int) -> None: ...
    def close(self) -> None: ...
    def metadata_get(self, key: str) -> str: ...
    def metadata_set(self, key: str, value: str) -> None: ...
    def metadata_remove(self, key: str) -> None: ...
    def lock_acquire(self, lock_mode: int) -> None: ...
    def lock_break(self, lock_mode: int, lock_owner: str) -> None: ...
    def lock_get_owners(self) -> Iterable[LockOwner]: ...
    def is_exclusive_lock_owner(self) -> bool: ...
    def watchers_list(self) -> Iterable[Watcher]: ...
    def create_snap(self, name: str) -> None: ...
    def protect_snap(self, name: str) -> None: ...
    def unprotect_snap(self, name: str) -> None: ...
    def is_protected_snap(self, name: str) -> bool: ...
    def remove_snap(self, name: str) -> None: ...
    def list_snaps(self) -> Iterable[Snapshot]: ...
    def set_snap(self, name: str | None) -> None: ...
    def list_children2(self) -> Iterable[Child]: ...
    def diff_iterate(
        self,
        offset: int,
        length: int,
        from_snapshot: str | None,
        iterate_cb: Callable[[int, int, bool], None],
        include_parent: bool = ...,
        whole_object: bool = ...,
    ) -> None: ...


class Rbd(Protocol):
    """Operations on the images of a pool (rbd.RBD)."""

    def create(
        self, ioctx: Pool, name: str, size: int, order: int = ..., old_format: bool = ..., features: int = ...
    ) -> None: ...
    def remove(self, ioctx: Pool, name: str) -> None: ...
    def clone(
        self, p_ioctx: Pool, p_name: str, p_snapname: str, c_ioctx: Pool, c_name: str, features: int | None = ...
    ) -> None: ...
    def rename(self, ioctx: Pool, src: str, dest: str) -> None: ...
    def trash_list(self, ioctx: Pool) -> Iterable[Trashed]: ...
    def trash_remove(self, ioctx: Pool, image_id: str, force: bool = ...) -> None: ...
    def list(self, ioctx: Pool) -> list[str]: ...


class Bindings(NamedTuple):
    """Both modules, reduced to the parts used here."""

    rados: ModuleType
    rbd: ModuleType
    failures: tuple[type[Exception], ...]  # every error either module raises

    def cluster(self, conf_file: str, user: str, options: dict[str, str]) -> Cluster:
        """Make an unconnected client."""
        return cast("Cluster", self.rados.Rados(conffile=conf_file, rados_id=user, conf=options))

    def open_image(self, pool: Pool, name: str, snapshot: str | None, read_only: bool) -> RbdImage:
        """Open an image, or one of its snapshots."""
        return cast("RbdImage", self.rbd.Image(pool, name=name, snapshot=snapshot, read_only=read_only))

    def operations(self) -> Rbd:
        """Return the pool-level operations."""
        return cast("Rbd", self.rbd.RBD())


@cache
def load() -> Bindings:
    """Load both modules. Raises MissingProgram where they are absent or built for another Python."""
    rados, rbd = _load("rados"), _load("rbd")
    return Bindings(rados, rbd, (cast("type[Exception]", rados.Error), cast("type[Exception]", rbd.Error)))


def _load(name: str) -> ModuleType:
    """Load one extension module under its own name, because rbd's C code imports `rados` by that name."""
    if name in sys.modules:
        return sys.modules[name]
    spec = PathFinder.find_spec(name, [DEBIAN_PACKAGES])
    if spec is None or spec.loader is None:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        raise MissingProgram(
            f"the {name} binding for Python {version}", f"python3-{name} and use the Python it is built for"
        )
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def names(listing: Iterable[Child]) -> Iterator[str]:
    """Yield the clones of a listing as pool/image."""
    for child in listing:
        space = f"{child['pool_namespace']}/" if child.get("pool_namespace") else ""
        yield f"{child['pool']}/{space}{child['image']}"
