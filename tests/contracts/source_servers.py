"""Real servers for the source contract, one `Place` a scheme: put a file there, ask how many bytes went out, break it."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote
from uuid import NAMESPACE_URL, uuid4, uuid5

from catalog.settings import Settings
from storage.imagestore.objects.s3 import S3Objects
from storage.imagestore.objects.s3_connection import S3Connection, session
from storage.protocols import SourceInfo, SourceStream
from storage.sources.http.source import HttpSource
from storage.uploads import Upload, Uploads, url_of
from tests.services.nginx import nginx
from tests.services.private_user import ESCAPED, PASSWORD, USER
from tests.services.proxy import Proxy, proxy
from tests.services.s3 import BUCKET, KEY, SECRET, S3Server, server
from tests.services.sshd import sshd
from tests.services.vsftpd import vsftpd
from tests.storage.uploads_at import FAR, OneBucket


@dataclass(frozen=True)
class Place:
    """Where files of one scheme live."""

    scheme: str
    put: Callable[[str, bytes], None]
    url: Callable[[str], str]
    sent: Callable[[], int]  # bytes that the server sent so far, protocol included
    cut_after: Callable[[int], None] | None  # break the connection after so many more bytes
    cut: Callable[[], None] | None  # break it now
    settings: Settings
    secret: str = ""  # what must not show anywhere
    credentials: str | None = None
    wrong: tuple[str, str | None] | None = None  # URL prefix or credentials that the server refuses
    wrapped: bool = False  # opened with everything around it, through a list of mirrors
    parallel: bool = False  # read over several connections, whether that pays or not
    heals: bool = False  # goes on by itself after a cut
    uploads: Uploads | None = None  # where an upload is looked for
    closed: Settings = field(default_factory=Settings)  # settings under which the place is off limits

    @property
    def local(self) -> bool:
        """Tell whether no network is between."""
        return self.scheme in ("file", "upload")


class Parallel:
    """A source that never asks whether several connections pay."""

    def __init__(self, source: HttpSource) -> None:
        self.probe, self.peek, self._source = source.probe, source.peek, source

    def open(self, offset: int, info: SourceInfo) -> AbstractContextManager[SourceStream]:
        if offset == info.size_bytes:
            return self._source.open(offset, info)
        return closing(self._source.open_parallel(offset, info))


def settings(folder: Path, **more: object) -> Settings:
    """Return settings under which loopback and `folder` are permitted."""
    values = {
        "allowed_networks": ("127.0.0.0/8",),
        "file_roots": (folder,),
        "home": folder / "home",
        "read_timeout_s": 5,
        "connect_timeout_s": 5,
    } | more
    return Settings.model_validate(values)


def _write(root: Path) -> Callable[[str, bytes], None]:
    """Return a writer that replaces files as a careful publisher does: aside, then renamed."""

    def put(name: str, data: bytes) -> None:
        aside = root / f".{name}.new"
        aside.write_bytes(data)
        aside.rename(root / name)

    return put


def _read_so_far() -> int:
    """Return the bytes that this process has read from files."""
    return int(Path("/proc/self/io").read_text().split()[1])


@contextmanager
def upload_place(folder: Path) -> Iterator[Place]:
    """Files that somebody sent to the console."""
    known = settings(folder)
    uploads = Uploads(known)

    def named(name: str) -> str:
        return str(uuid5(NAMESPACE_URL, name))

    def put(name: str, data: bytes) -> None:
        uploads.discard(named(name))
        uploads.create(
            Upload(id=named(name), length=len(data), filename=name, flow="", request="", created_at=datetime.now(UTC))
        )  # fmt: skip
        uploads.data(named(name)).write_bytes(data)

    yield Place("upload", put, lambda name: url_of(named(name)), _read_so_far, None, None, known)


@contextmanager
def upload_in_a_bucket_place(folder: Path) -> Iterator[Place]:
    """Files that somebody sent, in pieces in a bucket of the real S3 server behind a counting proxy."""
    store, prefix = server(), uuid4().hex
    with proxy(int(store.endpoint.rpartition(":")[2])) as link:
        direct, far = (
            S3Objects(S3Connection(at.address(prefix))) for at in (store, S3Server(f"http://127.0.0.1:{link.port}"))
        )
        known = settings(folder)
        uploads = Uploads(known, OneBucket(direct))

        def named(name: str) -> str:
            return str(uuid5(NAMESPACE_URL, name))

        def put(name: str, data: bytes) -> None:
            uploads.discard(named(name))
            upload = Upload(
                id=named(name), length=len(data), filename=name, flow="", request="{}", created_at=datetime.now(UTC)
            )
            uploads.create(upload, (FAR,))
            with uploads.appending(upload.id) as turn:
                for start in range(0, len(data), 3 << 20):
                    turn.write(data[start : start + (3 << 20)])

        yield Place(
            "upload", put, lambda name: url_of(named(name)), link.settled, _cutter(link), link.cut, known,
            heals=True, uploads=Uploads(known, OneBucket(far)),
        )  # fmt: skip


@contextmanager
def file_place(folder: Path) -> Iterator[Place]:
    """Files of this host."""
    root = folder / "files"
    root.mkdir()

    yield Place(
        "file",
        _write(root),
        lambda name: f"file://{root}/{quote(name)}",
        _read_so_far,
        None,
        None,
        settings(folder),
    )


@contextmanager
def http_place(folder: Path, *, parallel: bool = False, wrapped: bool = False) -> Iterator[Place]:
    """nginx with basic authentication, behind a counting proxy."""
    root = folder / "files"
    root.mkdir()
    with nginx(folder / "nginx", root) as server, proxy(int(server.url.rpartition(":")[2])) as link:
        host = f"127.0.0.1:{link.port}/private"
        yield Place(
            "http",
            _write(root),
            lambda name: " ".join([f"http://imagewright:secret@{host}/{quote(name)}"] * (2 if wrapped else 1)),
            link.settled,
            _cutter(link),
            link.cut,
            settings(folder, parallel_round_trip_s=1e9),
            secret="secret",
            wrong=(f"http://imagewright:wrong@{host}/", None),
            wrapped=wrapped,
            parallel=parallel,
            heals=parallel or wrapped,
        )


@contextmanager
def ftp_place(folder: Path) -> Iterator[Place]:
    """vsftpd; it counts for itself, because its data connections pass no proxy."""
    root = folder / "files"
    root.mkdir()
    with vsftpd(folder / "vsftpd", root) as server:
        yield Place(
            "ftp",
            _write(root),
            lambda name: f"{server.url}/{quote(name)}",
            server.bytes_sent,
            None,
            server.cut,
            settings(folder),
            secret=ESCAPED,
            wrong=(f"ftp://{USER}:wrong@{server.host}/", None),
        )


@contextmanager
def sftp_place(folder: Path) -> Iterator[Place]:
    """OpenSSH behind a counting proxy."""
    root = folder / "files"
    root.mkdir()
    with sshd(folder / "sshd", root) as server, proxy(server.port) as link:
        host = f"127.0.0.1:{link.port}{root}"
        yield Place(
            "sftp",
            _write(root),
            lambda name: f"sftp://{USER}@{host}/{quote(name)}",
            link.settled,
            _cutter(link),
            link.cut,
            settings(folder, ssh_host_policy="accept-new"),
            secret=PASSWORD,
            credentials=f"{USER}:{PASSWORD}",
            wrong=(f"sftp://{USER}@{host}/", f"{USER}:wrong"),
        )


@contextmanager
def s3_place(folder: Path) -> Iterator[Place]:
    """A bucket of the real S3 server, behind a counting proxy."""
    import s3fs

    store = server()
    direct = s3fs.S3FileSystem(
        key=KEY, secret=SECRET, endpoint_url=store.endpoint, skip_instance_cache=True, session=session()
    )
    prefix = f"{BUCKET}/{uuid4().hex}"
    with proxy(int(store.endpoint.rpartition(":")[2])) as link:
        endpoint = f"http://127.0.0.1:{link.port}"

        def put(name: str, data: bytes) -> None:
            direct.pipe_file(f"{prefix}/{name}", data, chunksize=8 << 20, max_concurrency=1)  # each chunk is a copy

        yield Place(
            "s3",
            put,
            lambda name: f"s3://{prefix}/{quote(name)}?endpoint={endpoint}",
            link.settled,
            _cutter(link),
            link.cut,
            settings(folder),
            secret=SECRET,
            credentials=f"{KEY}:{SECRET}",
            wrong=(f"s3://{prefix}/NAME?endpoint={endpoint}", f"{KEY}:wrong"),
        )


def _cutter(link: Proxy) -> Callable[[int], None]:
    def cut_after(size: int) -> None:
        link.cut_after = size

    return cut_after
