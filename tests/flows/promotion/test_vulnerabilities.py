"""Known vulnerabilities asked for on the command line: as lines for people, as one JSON document for programs."""

import json
from pathlib import Path

import pytest

from catalog.records import VulnerabilityReport
from tests.flows.command.test_command import told
from tests.services.osv_export import written
from tests.tasks.promotion.test_vulnerabilities import EXPORT, stored

pytestmark = pytest.mark.prefect


def test_the_command_lists_what_an_export_on_the_host_knows(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    image, export = stored(tmp_path), str(written(tmp_path, "folder", EXPORT))
    status, out, _ = told(monkeypatch, capsys, "find-vulnerabilities", image.id, "--osv", export)
    assert (status, ["of_image", "5"] in [line.split() for line in out.splitlines()]) == (0, True)
    (line,) = [line.split() for line in out.splitlines() if "DEBIAN-CVE-2026-1" in line]
    assert {"openssl", "3.0.11-1~deb12u2", "3.0.13-1~deb12u1", "critical"} < set(line)
    status, out, _ = told(monkeypatch, capsys, "find-vulnerabilities", image.id, "--osv", export, "--json")
    report = VulnerabilityReport.model_validate(json.loads(out))
    assert (status, [one.id for one in report.vulnerabilities]) == (0, ["DEBIAN-CVE-2026-1", "DSA-3-1"])
    status, _, err = told(monkeypatch, capsys, "find-vulnerabilities", image.id, "--osv", "here.zip")
    assert (status, err.count("\n"), "an absolute path of the host" in err) == (2, 1, True)
    failing = ("find-vulnerabilities", image.id, "--osv", export, "--fail-from")
    status, _, err = told(monkeypatch, capsys, *failing, "high")
    assert status == 1
    assert (
        "failed for 1 of 2: DEBIAN-CVE-2026-1: openssl 3.0.11-1~deb12u2 is critical, fixed in 3.0.13-1~deb12u1" in err
    )
    older = str(written(tmp_path, "zip", [one for one in EXPORT if one["id"] != "DEBIAN-CVE-2026-1"]))
    assert told(monkeypatch, capsys, *failing[:3], older, "--fail-from", "unknown")[0] == 0  # there is no fix
