"""Two hosts with a management and a sync network, as network namespaces: a sync goes over the sync network only.

The target is known by its management address. Each host routes by source address, as hosts with two networks do, so what
leaves from the sync address takes the sync interface: that connections are bound to it is what makes the difference.
"""

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from storage.imagestore.format.parameters import Parameters
from storage.imagestore.objects.directory import DirectoryObjects
from tests.flows.moving import noise
from tests.services.networks import ip
from tests.services.process import free_port
from tests.services.s3 import KEY, SECRET, weed
from tests.storage.stores import add, image_store

MANAGEMENT, SYNC = "10.201.1", "10.201.2"
ROOT = Path(__file__).parents[2]


@pytest.fixture
def hosts() -> Iterator[tuple[str, str]]:
    """Yield two namespaces, joined by two pairs of interfaces."""
    tag = uuid.uuid4().hex[:6]
    here, there = f"iwa{tag}", f"iwb{tag}"
    with ExitStack() as stack:
        try:
            for name in (here, there):
                ip("netns", "add", name)
                stack.callback(subprocess.run, ["ip", "netns", "del", name], check=False)
                ip("-n", name, "link", "set", "lo", "up")
            for number, (network, prefix) in enumerate((("management", MANAGEMENT), ("sync", SYNC))):
                ends = [f"v{tag}{number}{side}" for side in "ab"]
                ip(
                    "link",
                    "add",
                    ends[0],
                    "netns",
                    here,
                    "type",
                    "veth",
                    "peer",
                    "name",
                    ends[1],
                    "netns",
                    there,
                )
                for last, (name, end) in enumerate(zip((here, there), ends, strict=True), 1):
                    ip("-n", name, "link", "set", end, "name", network)
                    ip("-n", name, "addr", "add", f"{prefix}.{last}/24", "dev", network)
                    ip("-n", name, "link", "set", network, "up")
            ip("-n", here, "rule", "add", "from", f"{SYNC}.1", "table", "100")
            ip(
                "-n",
                here,
                "route",
                "add",
                f"{MANAGEMENT}.2/32",
                "via",
                f"{SYNC}.2",
                "dev",
                "sync",
                "table",
                "100",
            )
            for name in ("all", "management", "sync"):
                loose = f"echo 0 > /proc/sys/net/ipv4/conf/{name}/rp_filter"
                subprocess.run(["ip", "netns", "exec", here, "sh", "-c", loose], check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"network namespaces are not permitted here: {error}")
        yield here, there


@pytest.fixture
def endpoint(hosts: tuple[str, str], tmp_path: Path) -> Iterator[str]:
    """Run an S3 server on the other host; yield its management address."""
    ports = [free_port(pair=True) for _ in range(6)]
    (tmp_path / "data").mkdir()
    names = ("s3", "master", "volume", "filer", "webdav", "admin")
    command = [
        "ip", "netns", "exec", hosts[1], "setpriv", "--pdeathsig", "KILL", weed(), f"-logdir={tmp_path}", "mini",
        f"-ip={MANAGEMENT}.2", "-ip.bind=0.0.0.0", f"-dir={tmp_path}/data", "-s3.port.iceberg=0", "-s3.port.lance=0",
        *(f"-{name}.port={port}" for name, port in zip(names, ports, strict=True)),
    ]  # fmt: skip
    environment = dict(os.environ, HOME=str(tmp_path), AWS_ACCESS_KEY_ID=KEY, AWS_SECRET_ACCESS_KEY=SECRET)
    with (tmp_path / "weed.out").open("wb") as log:
        server = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        yield f"http://{MANAGEMENT}.2:{ports[0]}"
    finally:
        server.kill()
        server.wait()


def sync(host: str, folder: Path, endpoint: str, network: str) -> dict[str, int]:
    """Sync from a host; return the bytes of chips, and what left over each interface."""
    command = [
        "ip", "netns", "exec", host, sys.executable, "-m", "tests.scenarios.move_between_hosts", str(folder),
        endpoint, network,
    ]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    answer: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    return answer


def test_a_sync_goes_over_the_sync_network_only(hosts: tuple[str, str], endpoint: str, tmp_path: Path) -> None:
    objects = DirectoryObjects(tmp_path / "store")
    objects.prepare()
    add(image_store(objects, Parameters()), noise(8 << 20))
    over = sync(hosts[0], tmp_path / "store", endpoint, f"{SYNC}.0/24")
    assert over["bytes"] > 8 << 20
    assert over["sync"] > over["bytes"]
    assert over["management"] < 20_000  # neighbours greet each other
    plain = sync(hosts[0], tmp_path / "store", endpoint, "")
    assert plain["management"] > plain["bytes"]  # without a sync network the way to that address is this one
    assert over["sync"] <= 1.06 * over["bytes"]  # packets' heads included
    refused = subprocess.run(
        ["ip", "netns", "exec", hosts[0], sys.executable, "-m", "tests.scenarios.move_between_hosts",
         str(tmp_path / "store"), endpoint, "10.99.0.0/16"],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert "its sync network is 10.99.0.0/16 and this host has no address there" in refused.stderr
