"""A real one-node Ceph cluster: monitors, an OSD, a manager if asked for, in one short folder on loopback.

About 1 s to start (memstore), 75 MB. Daemons die with the test process (parent-death signal), and are stopped by process id.
"""

import atexit
import json
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Literal

import pytest

from catalog.errors import MissingProgram
from storage.ceph.client.bindings import load
from tests.services.process import find, free_port

START_S = 30.0
GIB = 1 << 30
Store = Literal["memstore", "bluestore"]

CONF = """\
[global]
fsid = {fsid}
mon initial members = {members}
mon host = {hosts}
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind ipv6 = false
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
keyring = {folder}/keyring
run dir = {folder}/run
admin socket = {folder}/run/$name.$pid.asok
pid file = {folder}/run/$name.pid
log file = {folder}/log/$name.log
mon cluster log file = {folder}/log/cluster.log
crash dir = {folder}/crash
chdir = {folder}
plugin dir = /usr/lib/ceph
osd crush chooseleaf type = 0
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd pool default pgp num = 8
osd pool default pg autoscale mode = off
mon allow pool size one = true
mon allow pool delete = true
mon max pg per osd = 2000
mon data avail warn = 2
mon data avail crit = 1
mon osd full ratio = .97
mon osd nearfull ratio = .95
mon osd backfillfull ratio = .96
osd failsafe full ratio = .99
auth allow insecure global id reclaim = false

[client]
admin socket =
log file =

[mon]
mon data = {folder}/$name
paxos propose interval = 0.1
paxos min wait = 0.01
mon lease = 1
mon election timeout = 1

[mgr]
mgr data = {folder}/mgr
mgr initial modules =
mgr stats period = 1

[osd]
osd data = {folder}/osd
osd objectstore = {store}
osd fast shutdown = false
osd class update on start = true
osd scrub load threshold = 2000
memstore device bytes = {size}
bluestore block create = true
bluestore block size = {size}
bluestore block wal create = false
bluestore block db create = false
bluestore fsck on mkfs = false
bluestore cache autotune = false
bluestore cache size = 134217728
debug rocksdb = 0
debug bluestore = 0
debug bluefs = 0
debug bdev = 0
"""
CAPABILITIES = {
    "mon.": ("mon", "allow *"),
    "client.admin": ("mon", "allow *", "osd", "allow *", "mgr", "allow *"),
    "osd.0": ("mon", "allow profile osd", "mgr", "allow profile osd", "osd", "allow *"),
    "mgr.a": ("mon", "allow profile mgr", "osd", "allow *"),
    "client.images": ("mon", "profile rbd", "osd", "profile rbd", "mgr", "profile rbd"),
    "client.reader": ("mon", "profile rbd", "osd", "profile rbd-read-only"),
}


class CephCluster:
    """A running cluster. Its daemons can be paused, killed and started again by name: mon.a, osd.0, mgr.a."""

    def __init__(self, folder: Path, pools: Sequence[str]) -> None:
        self.folder, self.pools = folder, tuple(pools)
        self.conf = folder / "ceph.conf"
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}
        self._started: set[str] = set()  # whatever became of them

    def url(self, pool: str | None = None, user: str = "images") -> str:
        """Return the address of a pool as an image storage."""
        return f"rbd://{pool or self.pools[0]}?conf={self.conf}&user={user}"

    @property
    def keyring(self) -> str:
        """The text of the keyring with every user's key."""
        return (self.folder / "keyring").read_text()

    def key(self, user: str) -> str:
        """Return a user's bare key."""
        return self._run("ceph-authtool", self.folder / "keyring", "-n", user, "-p").strip()

    def command(self, **words: object) -> str:
        """Send a command to the monitors as client.admin and return its output."""
        client = load().cluster(str(self.conf), "admin", {"rados_mon_op_timeout": "20"})
        client.connect()
        try:
            text = str(words.pop("inbuf", ""))
            code, out, why = client.mon_command(json.dumps(words), text.encode(), timeout=20)
        finally:
            client.shutdown()
        assert code == 0, (words, why)
        return out.decode()

    def rbd(self, *words: str) -> str:
        """Run the rbd command as client.admin."""
        return self._run("rbd", "-c", self.conf, *words)

    def objects(self, pool: str) -> list[str]:
        """Return the names of all objects of a pool, sorted."""
        return sorted(self._run("rados", "-c", self.conf, "-p", pool, "ls").split())

    def data_objects(self, pool: str) -> list[str]:
        """Return the names of the objects that hold bytes of images, sorted."""
        return [name for name in self.objects(pool) if name.startswith("rbd_data.")]

    def leftovers(self, pool: str) -> list[str]:
        """Return the objects that belong to an image, or to nothing any more; RBD's own bookkeeping is not counted."""
        own = {"rbd_directory", "rbd_info", "rbd_trash", "rbd_children", "imagewright_check"}
        return [name for name in self.objects(pool) if name not in own]

    def read_object(self, pool: str, name: str) -> bytes:
        """Return an object's bytes."""
        part = self.folder / "object"
        self._run("rados", "-c", self.conf, "-p", pool, "get", name, part)
        return part.read_bytes()

    def remove_object(self, pool: str, name: str) -> None:
        """Lose an object."""
        self._run("rados", "-c", self.conf, "-p", pool, "rm", name)

    def write_object(self, pool: str, name: str, data: bytes, offset: int = 0) -> None:
        """Damage an object: write bytes over it behind RBD's back."""
        part = self.folder / "damage"
        part.write_bytes(data)
        self._run("rados", "-c", self.conf, "-p", pool, "put", name, part, "--offset", str(offset))

    def create_pool(self, name: str) -> None:
        """Make a pool for images; only while the OSD is up."""
        self.command(prefix="osd pool create", pool=name, pg_num=1)
        self.command(prefix="osd pool application enable", pool=name, app="rbd")

    def start(self, name: str) -> None:
        """Start a daemon."""
        self._started.add(name)
        program, identity = f"ceph-{name.partition('.')[0]}", name.partition(".")[2]
        with (self.folder / "log" / f"{name}.out").open("ab") as log:
            self._daemons[name] = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", program, "-c", self.conf, "-i", identity, "-f"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def stop(self, name: str, how: signal.Signals = signal.SIGTERM) -> None:
        """Stop a daemon and wait for its end. A memstore keeps its data through SIGTERM only, and may take its time."""
        daemon = self._daemons.pop(name)
        daemon.send_signal(signal.SIGCONT)
        daemon.send_signal(how)
        try:
            daemon.wait(90)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()

    def start_missing(self) -> None:
        """Start every daemon of the cluster that was stopped or died."""
        for name in sorted(self._started, reverse=True):
            if name not in self._daemons or self._daemons[name].poll() is not None:
                self.start(name)

    def stop_all(self) -> None:
        """End every daemon at once; nothing is kept."""
        for name in list(self._daemons):
            self.stop(name, signal.SIGKILL)

    @contextmanager
    def paused(self, name: str) -> Iterator[None]:
        """Make a daemon stop answering for a while, its connections open."""
        daemon = self._daemons[name]
        daemon.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            daemon.send_signal(signal.SIGCONT)

    def fill(self) -> None:
        """Make the pools full, by lowering what counts as full below what is there."""
        self._set_full(0.001)
        self._wait(self._pools_are_full)

    def relieve(self) -> None:
        """Make room again."""
        self._set_full(0.96)
        self._wait(lambda: not self._pools_are_full())

    def wait_for_osd(self) -> None:
        """Wait until the OSD is up."""
        self._wait(lambda: json.loads(self.command(prefix="osd stat", format="json"))["num_up_osds"] == 1)

    def wait_for_statistics(self) -> None:
        """Wait until the manager reports pools."""
        self._wait(lambda: bool(json.loads(self.command(prefix="df", format="json"))["pools"]))

    def bootstrap(self, monitors: int, manager: bool, store: Store, size_bytes: int) -> None:
        """Write configuration and keys, make the stores, start everything, create the pools."""
        for sub in ("run", "log", "crash", "osd", "mgr"):
            (self.folder / sub).mkdir()
        fsid = str(uuid.uuid4())
        names = "abc"[:monitors]
        addresses = {m: f"[v2:127.0.0.1:{free_port()},v1:127.0.0.1:{free_port()}]" for m in names}
        self.conf.write_text(
            CONF.format(
                fsid=fsid, members=",".join(names), hosts=",".join(addresses.values()), folder=self.folder,
                store=store, size=size_bytes,
            )
        )  # fmt: skip
        self._make_keyring()
        self._make_monitors(fsid, addresses)
        self._make_osd()
        if manager:
            self.start("mgr.a")
        self.wait_for_osd()
        for pool in self.pools:
            self.create_pool(pool)

    def _set_full(self, ratio: float) -> None:
        order = ("full", "backfillfull", "nearfull") if ratio > 0.5 else ("nearfull", "backfillfull", "full")
        for kind in order:
            less = {"nearfull": 0.0002, "backfillfull": 0.0001, "full": 0.0}[kind]
            self.command(prefix=f"osd set-{kind}-ratio", ratio=ratio - less)

    def _pools_are_full(self) -> bool:
        pools = json.loads(self.command(prefix="osd dump", format="json"))["pools"]
        return any("full" in pool["flags_names"].split(",") for pool in pools)

    def _make_keyring(self) -> None:
        keyring = self.folder / "keyring"
        for name, capabilities in CAPABILITIES.items():
            pairs = zip(capabilities[::2], capabilities[1::2], strict=True)
            words = [word for service, allowed in pairs for word in ("--cap", service, allowed)]
            create = [] if keyring.exists() else ["--create-keyring"]
            self._run("ceph-authtool", *create, keyring, "--gen-key", "-n", name, *words)

    def _make_monitors(self, fsid: str, addresses: dict[str, str]) -> None:
        words = [word for name, address in addresses.items() for word in ("--addv", name, address)]
        monmap = self.folder / "monmap"
        self._run("monmaptool", "--create", "--fsid", fsid, *words, monmap)
        for name in addresses:
            (self.folder / f"mon.{name}").mkdir()
            self._run(
                "ceph-mon", "-c", self.conf, "-i", name, "--mkfs", "--monmap", monmap,
                "--keyring", self.folder / "keyring",
            )  # fmt: skip
            self.start(f"mon.{name}")

    def _make_osd(self) -> None:
        identity = str(uuid.uuid4())
        self.command(prefix="osd new", uuid=identity)
        self.command(prefix="auth import", inbuf=self.keyring)
        self._run("ceph-osd", "-c", self.conf, "-i", "0", "--mkfs", "--osd-uuid", identity)
        self.start("osd.0")

    def _wait(self, happened: Callable[[], bool]) -> None:
        end = time.monotonic() + START_S
        while not happened():
            if time.monotonic() > end:
                raise RuntimeError(f"the cluster in {self.folder} is not ready after {START_S} s")
            time.sleep(0.05)

    def _run(self, *words: str | Path) -> str:
        done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        return done.stdout


@contextmanager
def ceph_cluster(
    *,
    pools: Sequence[str] = ("images",),
    monitors: int = 1,
    manager: bool = False,
    store: Store = "memstore",
    size_bytes: int = 4 * GIB,
) -> Iterator[CephCluster]:
    """Start a cluster and end it with its folder; skip the test where daemons or bindings are missing."""
    for program in ("ceph-mon", "ceph-osd", *(["ceph-mgr"] if manager else [])):
        find(program, program)
    find("rbd", "ceph-common")
    try:
        load()
    except MissingProgram as missing:
        pytest.skip(str(missing))
    # admin sockets have to fit 108 bytes, so the folder is not pytest's
    folder = Path(tempfile.mkdtemp(prefix="iw-ceph-", dir="/tmp"))
    cluster = CephCluster(folder, pools)
    try:
        cluster.bootstrap(monitors, manager, store, size_bytes)
        yield cluster
    finally:
        cluster.stop_all()
        shutil.rmtree(folder, ignore_errors=True)


@cache
def shared_cluster(number: int = 0) -> CephCluster:
    """Return a cluster that all tests of this process share, each in a pool of its own; it ends with the process.

    number: which one, where several stand side by side.
    """
    ends = ExitStack()
    atexit.register(ends.close)
    return ends.enter_context(ceph_cluster())


def fresh_pool(cluster: CephCluster) -> str:
    """Make a pool that no other test uses and return its name."""
    name = f"p{uuid.uuid4().hex[:12]}"
    cluster.create_pool(name)
    return name
