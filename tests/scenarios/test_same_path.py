"""The same path is another disk on each host (mount namespaces): an add at b to a's directory never writes b's disk."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.flows.two_hosts import TwoHosts, two_hosts

MOUNTED = 'mkdir -p "$1" && mount --bind "$2" "$1" && shift 2 && exec "$@"'
ADD = """
import sys
from catalog import open_catalog
from catalog.errors import StorageElsewhere
from catalog.settings import load_settings
from tasks.runtime.resources import open_image_storage
with open_catalog() as catalog:
    record = catalog.image_storage("near")
try:
    storage = open_image_storage(record, load_settings())
except StorageElsewhere as error:
    sys.exit(str(error))
landing = storage.landing("x")
landing.write(memoryview(bytes(1 << 20)))
landing.finish()
landing.close()
"""


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[TwoHosts]:
    probe = subprocess.run(["unshare", "--mount", "true"], check=False, capture_output=True)
    if probe.returncode:
        pytest.skip("mount namespaces can't be made here (needs root)")
    with two_hosts(tmp_path) as found:
        yield found


def at(hosts: TwoHosts, name: str, mount: Path, program: str) -> "subprocess.CompletedProcess[str]":
    """Run a program at a host that has its own disk mounted where the other one has its own."""
    environment = {**os.environ, **hosts.environment(name)}
    command = [
        "unshare",
        "--mount",
        "--propagation",
        "private",
        "sh",
        "-c",
        MOUNTED,
        "sh",
        str(mount),
        str(hosts.disk(name)),
    ]
    return subprocess.run(
        [*command, sys.executable, "-c", program], env=environment, cwd=Path(__file__).parents[2],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def test_an_add_at_b_to_a_directory_of_a_never_writes_the_disk_of_b(hosts: TwoHosts, tmp_path: Path) -> None:
    mount = tmp_path / "srv"
    register = f"""
from tasks.storages.register_image_storage import register_storage
fields = {{"name": "near", "kind": "imagestore", "url": "{mount.as_uri()}/near", "reserve_bytes": 0, "shared": False}}
assert register_storage.fn(fields, "admin").host == "a"
"""
    made = at(hosts, "a", mount, register)
    assert made.returncode == 0, made.stderr
    assert (hosts.disk("a") / "near" / "store.json").exists()

    refused = at(hosts, "b", mount, ADD)
    assert "image storage 'near' lies on host 'a', and this is 'b'" in refused.stderr
    assert list(hosts.disk("b").rglob("*")) == []

    landed = at(hosts, "a", mount, ADD)
    assert landed.returncode == 0, landed.stderr
    assert any((hosts.disk("a") / "near").rglob("*.log")) or any((hosts.disk("a") / "near" / "landings").rglob("*"))
    assert list(mount.iterdir()) == [], "outside of both namespaces nothing is mounted"
