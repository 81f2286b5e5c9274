"""Contents of stored images, and how two of them differ."""

import json
from pathlib import Path

import pytest

from catalog.records import Image, Package
from catalog.rules.promotion.comparison import compared
from tasks.promotion.contents import inspect
from tests.flows.managed import placed
from tests.services.guest_images import _filled, linux_tree
from tests.services.images import need

STANZA = "Package: {}\nStatus: install ok installed\nVersion: {}\nArchitecture: amd64\n\n"


def stored(folder: Path, version: str, packages: dict[str, str], **files: str) -> Image:
    need("mkfs.ext4")
    folder.mkdir()
    root = linux_tree(folder / "tree")
    files["var/lib/dpkg/status"] = "".join(STANZA.format(*pair) for pair in packages.items())
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return placed(
        _filled(folder / "disk.raw", root, "ext4", 16).read_bytes(), name=f"os-{version}", build_version=version
    )


@pytest.mark.usefixtures("home")
def test_two_images_differ_by_their_packages_and_findings(tmp_path: Path) -> None:
    a = stored(tmp_path / "a", "1.0", {"bash": "5.1", "perl": "5.36", "curl": "7.88"}, **{"etc/machine-id": "ab" * 16})
    b = stored(tmp_path / "b", "1.1", {"bash": "5.2", "perl": "5.36", "wget": "1.21"})
    first, second = inspect.fn(a, "admin"), inspect.fn(b, "admin")
    assert first.packages[0] == Package(kind="deb", name="bash", version="5.1", arch="amd64")
    made = json.loads(Path(str(first.cyclonedx)).read_text())
    assert [one["purl"] for one in made["components"]] == [
        "pkg:deb/bash@5.1?arch=amd64", "pkg:deb/curl@7.88?arch=amd64", "pkg:deb/perl@5.36?arch=amd64",
    ]  # fmt: skip
    found = compared((a, first), (b, second))
    assert [(c.name, c.before, c.after) for c in found.packages] == [
        ("bash", "5.1", "5.2"),
        ("curl", "7.88", None),
        ("wget", None, "1.21"),
    ]
    assert "machine-id" in found.findings_gone[0]
    assert (found.findings_new, found.size_change_bytes, found.unread) == ((), 0, ())
