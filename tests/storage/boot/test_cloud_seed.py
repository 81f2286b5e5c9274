"""A guest's own word of how its cloud-init ended: heard among other lines, from nobody else, and real in a real Debian."""

import base64
import json
import subprocess
from pathlib import Path

import pytest

from catalog.records import BootPoint
from storage.boot.cloud_seed import SCRIPT, CloudSeed
from storage.boot.machine import machine_for
from storage.boot.trial import boot_image
from tests.services.guest_images import cloud_disk


def said(seed: CloudSeed, kind: str, code: int, text: str) -> str:
    return f"[  12.3] random: crng\n{seed.nonce} {kind} {code} {base64.b64encode(text.encode()).decode()} .\nlogin: "


def test_a_guest_is_believed_when_both_lines_are_whole() -> None:
    seed = CloudSeed.new("cat /etc/debian_version")
    status, printed = (
        said(seed, "cloud-init", 0, "status: done\ndetail: DataSourceNoCloud"),
        said(seed, "command", 0, "12.5\n"),
    )
    assert seed.told(status) is None
    assert seed.told(status + printed[: printed.index(" .")]) is None
    told = seed.told(status + printed)
    assert told is not None
    assert told.well
    assert told.sentence(seed.command) == (
        "cloud-init status: done detail: DataSourceNoCloud; 'cat /etc/debian_version': 12.5"
    )
    assert CloudSeed.new(seed.command).told(status + printed) is None  # another boot's


@pytest.mark.parametrize(("state", "code", "well"), [(0, 0, True), (2, 0, True), (1, 0, False), (0, 3, False)])
def test_what_ends_badly_is_said(state: int, code: int, well: bool) -> None:
    seed = CloudSeed.new("x")
    told = seed.told(said(seed, "cloud-init", state, "status: s") + said(seed, "command", code, "o\x1b[2Jh"))
    assert told is not None
    assert told.well is well
    assert ("ended with 3" in told.sentence("x")) is (code == 3)
    assert told.sentence("x").isprintable()


def test_the_seed_is_what_cloud_init_reads(tmp_path: Path) -> None:
    seed = CloudSeed.new("""echo 'a "b" $HOME' | tr a c; exit 4""")
    seed.write(tmp_path / "seed")
    user = (tmp_path / "seed/user-data").read_text()
    assert user.startswith("#cloud-config\n")
    made = json.loads(user.partition("\n")[2])
    assert made["write_files"][0]["path"] == SCRIPT
    script = base64.b64decode(made["write_files"][0]["content"]).decode()
    assert subprocess.run(["sh", "-n"], input=script, text=True, check=False).returncode == 0
    assert json.loads((tmp_path / "seed/meta-data").read_text())["instance-id"] == seed.nonce


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_a_real_debian_tells_when_its_cloud_init_is_done(tmp_path: Path) -> None:
    point = BootPoint(until="cloud-init", command="cat /etc/debian_version; hostname")
    outcome = boot_image(cloud_disk(), "raw", machine_for("Legacy", "x86_64"), "Template", 900, tmp_path, point)
    assert outcome.booted, outcome
    assert "status: done" in outcome.evidence
    assert "DataSourceNoCloud" in outcome.evidence
    assert outcome.evidence.endswith(" imagewright")


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_a_command_that_ends_badly_fails_the_boot(tmp_path: Path) -> None:
    point = BootPoint(until="cloud-init", command="echo no such thing; exit 7")
    outcome = boot_image(cloud_disk(), "raw", machine_for("Legacy", "x86_64"), "Template", 900, tmp_path, point)
    assert not outcome.booted
    assert "ended with 7: no such thing" in outcome.evidence
