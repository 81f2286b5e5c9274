"""LXD's own client lists what families hand on, and fetches it: `lxc`, over TLS, with a token in the address of the remote."""

import hashlib
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme
import uvicorn
import yaml

from catalog.settings import load_settings
from console.app import create_app
from tasks.promotion.family import set_family
from tests.console.api.v1.people import everybody
from tests.console.test_published import promoted
from tests.console.test_published_for_incus import WAIT_S, for_incus, qcow2
from tests.services.images import need
from tests.services.process import free_port


@dataclass(frozen=True)
class Lxc:
    """The client, with a configuration of its own that knows one remote."""

    folder: Path

    def __call__(self, *words: str) -> str:
        environment = {
            **os.environ,
            "LXD_CONF": str(self.folder),
            "SSL_CERT_FILE": str(self.folder / "ca.pem"),
            "HOME": str(self.folder),
        }
        done = subprocess.run(
            ["lxc", *words], env=environment, cwd=self.folder, capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def lxc(home: Path, tmp_path: Path, cheap_passwords: None) -> Iterator[Lxc]:
    need("lxc")
    folder = tmp_path / "lxc"
    folder.mkdir()
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))
    port, pem = free_port(), str(folder / "server.pem")
    app = create_app(load_settings())
    server = uvicorn.Server(
        uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error", ssl_certfile=pem, ssl_keyfile=pem)
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    set_family.fn({"name": "debian"}, "admin")
    token = everybody()["viewer"]["Authorization"].removeprefix("Bearer ")
    command = Lxc(folder)
    command(
        "remote",
        "add",
        "ours",
        f"https://anybody:{token}@127.0.0.1:{port}/simplestreams",
        "--protocol",
        "simplestreams",
    )
    yield command
    server.should_exit = True
    thread.join(WAIT_S)


def test_the_client_of_lxd_lists_an_image_and_fetches_both_files(lxc: Lxc, tmp_path: Path) -> None:
    data = qcow2(tmp_path, 3)
    promoted(for_incus("1.10", data, os="Debian 12"))
    end = time.monotonic() + WAIT_S
    while "debian" not in (listed := lxc("image", "list", "ours:", "--format", "csv")) and time.monotonic() < end:
        time.sleep(0.05)
    assert "VIRTUAL-MACHINE" in listed
    lxc("image", "export", "ours:debian", "got", "--vm")
    archive, disk = ((lxc.folder / name).read_bytes() for name in ("got", "got.root"))
    assert disk == data
    told = yaml.safe_load(lxc("image", "info", "ours:debian", "--vm"))
    assert told["Fingerprint"] == hashlib.sha256(archive + disk).hexdigest()
    assert {told[name] for name in ("Architecture", "Type")} == {"x86_64", "virtual-machine"}
    assert told["Properties"]["os"] == "Debian 12"
