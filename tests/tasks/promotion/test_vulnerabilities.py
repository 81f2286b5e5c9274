"""What an OSV export knows of the packages of stored images: of a real Debian's, and of those that no export is about."""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from catalog.errors import ImagewrightError, InvalidRequest
from catalog.records import Contents, Image, Severity, VulnerabilityReport
from flows.requests import FindVulnerabilities
from tasks.promotion.contents import inspect
from tasks.promotion.vulnerabilities import compare_with_export
from tests.flows.managed import blank, placed
from tests.services.guest_images import _filled, linux_tree
from tests.services.images import need
from tests.services.nginx import nginx
from tests.services.osv_export import V31, Record, record, written
from tests.storage.boot.test_contents import NOW

RELEASE = 'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n'
STATUS = Path("/var/lib/dpkg/status")
STANZA = "Package: {}\nStatus: install ok installed\nVersion: {}\nArchitecture: amd64\nSource: {}\n\n"
INSTALLED = (
    ("libssl3", "3.0.11-1~deb12u2", "openssl"),
    ("openssl", "3.0.11-1~deb12u2", "openssl"),
    ("bash", "5.2.15-2+b2", "bash (5.2.15-2)"),
)
EXPORT: Sequence[Record] = (
    record("DEBIAN-CVE-2026-1", "Debian:12", "openssl", [("introduced", "0"), ("fixed", "3.0.13-1~deb12u1")], upstream=["CVE-2026-1"], severity=[{"type": "CVSS_V3", "score": V31}]),
    record("DSA-1-1", "Debian:12", "openssl", [("introduced", "0"), ("fixed", "3.0.11-1~deb12u2")]),
    record("DSA-2-1", "Debian:12", "openssl", [("introduced", "0")], withdrawn="2026-01-01T00:00:00Z"),
    record("DSA-3-1", "Debian:12", "bash", [("introduced", "0"), ("fixed", "4.0-1")], [("introduced", "5.2-1"), ("last_affected", "5.2.15-2")], aliases=["CVE-2026-3"]),
    record("DSA-4-1", "Debian:12", "openssl", [("introduced", "0"), ("fixed", "no version")]),
    record("DSA-5-1", "Debian:11", "openssl", [("introduced", "0")]),
    record("GHSA-6", "PyPI", "openssl", [("introduced", "0")]),
)  # fmt: skip


ALL = "".join(STANZA.format(*one) for one in INSTALLED)


def stored(folder: Path, release: str = RELEASE, status: str = ALL) -> Image:
    need("mkfs.ext4")
    root = linux_tree(folder / "tree")
    (root / "etc/os-release").write_text(release)
    (root / "var/lib/dpkg").mkdir(parents=True, exist_ok=True)
    (root / "var/lib/dpkg/status").write_text(status)
    return placed(_filled(folder / "disk.raw", root, "ext4", 64).read_bytes(), name="os")


def compared(image: Image, place: Path | str) -> VulnerabilityReport:
    asked = FindVulnerabilities(image_id=image.id, osv=str(place))
    return compare_with_export.fn(image, inspect.fn(image, "admin"), asked.osv)


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("kind", ["zip", "folder"])
def test_what_is_affected_is_listed_the_worst_first(tmp_path: Path, kind: str) -> None:
    found = compared(stored(tmp_path), written(tmp_path, kind, EXPORT))
    assert [(one.id, one.aliases, one.package, one.packages, one.installed, one.fixed, one.severity, one.score) for one in found.vulnerabilities] == [
        ("DEBIAN-CVE-2026-1", ("CVE-2026-1",), "openssl", ("libssl3", "openssl"), "3.0.11-1~deb12u2", "3.0.13-1~deb12u1", "critical", 9.8),
        ("DSA-3-1", ("CVE-2026-3",), "bash", ("bash",), "5.2.15-2", None, "unknown", None),
    ]  # fmt: skip
    assert (found.ecosystems, found.advisories, found.of_image, found.withdrawn, found.skipped) == (
        ("Debian:12", "Debian"),
        7,
        5,
        1,
        1,
    )
    assert (found.guest_os, len(found.unread)) == ("Debian GNU/Linux 12 (bookworm)", 1)
    assert "DSA-4-1" in found.unread[0]
    assert "no version" in found.unread[0]


@pytest.mark.usefixtures("home")
def test_what_fails_is_severe_enough_and_has_a_fix(tmp_path: Path) -> None:
    image, lines = stored(tmp_path), [("introduced", "0"), ("fixed", "99")]
    rated = {"critical": V31, "medium": "CVSS:3.1/AV:N/AC:H/PR:N/UI:R/S:U/C:L/I:L/A:N", "unknown": "none"}
    made = [
        record(name, "Debian:12", "openssl", lines, severity=[{"type": "CVSS_V3", "score": text}])
        for name, text in rated.items()
    ]
    made.append(record("unfixed", "Debian:12", "openssl", lines[:1], severity=[{"type": "CVSS_V3", "score": V31}]))
    asked, contents = f"file://{written(tmp_path, 'zip', made)}", inspect.fn(image, "admin")
    cases: tuple[tuple[Severity | None, set[str]], ...] = (
        ("critical", {"critical"}), ("high", {"critical"}), ("medium", {"critical", "medium"}), ("unknown", set(rated)), (None, set()),
    )  # fmt: skip
    for fail_from, failing in cases:
        report = compare_with_export.fn(image, contents, asked, fail_from)
        assert {one.id for one in report.vulnerabilities if one.fails} == failing
        assert len(report.vulnerabilities) == 4


@pytest.mark.usefixtures("home")
def test_the_packages_of_a_real_debian_are_compared_as_dpkg_compares(tmp_path: Path) -> None:
    """Of each source that is installed here, two advisories: fixed after the version that is there, and fixed in it."""
    if not STATUS.is_file():
        pytest.skip("no dpkg here")
    asked = ["dpkg-query", "-W", "-f", "${db:Status-Status}\t${source:Package}\t${source:Version}\n"]
    rows = [
        line.split("\t")
        for line in subprocess.run(asked, capture_output=True, text=True, check=True).stdout.splitlines()
    ]
    sources = {(name, version) for status, name, version in rows if status == "installed"}
    made = [
        record(f"{name}_{version}_{word}", "Debian:12", name, [("introduced", "0"), ("fixed", f"{version}{end}")])
        for name, version in sources
        for word, end in (("later", "+deb12u9"), ("this", ""), ("before", "~"))
    ]
    found = compared(stored(tmp_path, status=STATUS.read_text()), written(tmp_path, "streamed zip", made))
    several = {name for name, _ in sources if sum(name == one for one, _ in sources) > 1}
    told = {(one.package, one.installed) for one in found.vulnerabilities if one.package not in several}
    assert told == {one for one in sources if one[0] not in several}
    assert {one.id.rpartition("_")[2] for one in found.vulnerabilities if one.package not in several} == {"later"}
    assert (found.skipped, found.unread, found.advisories) == (0, (), len(made))


@pytest.mark.usefixtures("home")
def test_an_export_comes_from_an_address_as_an_image_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = stored(tmp_path)
    (tmp_path / "www").mkdir()
    written(tmp_path / "www", "lines.gz", EXPORT)
    with nginx(tmp_path / "nginx", tmp_path / "www") as server:
        assert len(compared(image, f"{server.url}/export.lines.gz").vulnerabilities) == 2
        with pytest.raises(ImagewrightError, match=r"nothing to fetch at .*/none\.zip"):
            compared(image, f"{server.url}/none.zip")
        monkeypatch.setenv("IMAGEWRIGHT_ALLOWED_NETWORKS", "")
        with pytest.raises(ImagewrightError, match=r"may not be fetched"):
            compared(image, f"{server.url}/export.lines.gz")


@pytest.mark.usefixtures("home")
def test_what_can_not_be_compared_is_refused_and_never_passed_over(tmp_path: Path) -> None:
    export = written(tmp_path, "zip", EXPORT)
    for name, release, status in (
        ("mint", 'ID=linuxmint\nVERSION_ID=21\nPRETTY_NAME="Linux Mint 21"\n', STANZA.format(*INSTALLED[0])),
        ("empty", RELEASE, ""),
    ):
        (tmp_path / name).mkdir()
        with pytest.raises(InvalidRequest, match="almalinux") as refused:
            compared(stored(tmp_path / name, release, status), export)
        assert ("linuxmint, with 1 packages" in str(refused.value)) == (name == "mint")
    (tmp_path / "whole").mkdir()
    other = written(tmp_path, "lines", EXPORT[-2:])
    with pytest.raises(InvalidRequest, match="advisories of Debian:12; of the 2"):
        compared(stored(tmp_path / "whole"), other)


@pytest.mark.parametrize(
    "given",
    [
        "export.zip",
        "./export.zip",
        "ftps://x/y",
        "upload://1b0e7a52-6c1f-4f0e-9d5a-2f6a3c1d8e90",
        "",
        "user:secret@host",
    ],
)
def test_what_is_no_address_is_refused(given: str) -> None:
    contents = Contents(image_id="x", inspected_at=NOW)
    with pytest.raises(InvalidRequest, match="an absolute path of the host") as refused:
        compare_with_export.fn(blank(), contents, FindVulnerabilities(image_id=blank().id, osv=given).osv)
    assert "secret" not in str(refused.value)


def test_a_path_is_spelt_as_a_file() -> None:
    asked = FindVulnerabilities(image_id="1b0e7a52-6c1f-4f0e-9d5a-2f6a3c1d8e90", osv="/srv/a b/100%.zip")
    assert asked.osv == "file:///srv/a%20b/100%25.zip"
    assert FindVulnerabilities.model_validate(json.loads(asked.model_dump_json())) == asked
