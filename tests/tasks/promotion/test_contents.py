"""Contents of stored images, and how two of them differ."""

import json
from pathlib import Path

import pytest

from catalog.records import Contents, Image, Package
from catalog.rules.promotion.comparison import MOST_FILES, compared
from tasks.promotion.contents import inspect, inspect_with_files
from tests.flows.managed import blank, placed
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


@pytest.mark.usefixtures("home")
def test_two_images_differ_by_their_files(tmp_path: Path) -> None:
    a = stored(
        tmp_path / "a", "1.0", {"bash": "5.1"}, **{"srv/gone": "x" * 10, "srv/grown": "y", "opt/deep/down/same": "z"}
    )
    b = stored(
        tmp_path / "b", "1.1", {"bash": "5.1"}, **{"srv/come": "x" * 3, "srv/grown": "y" * 9, "opt/deep/down/same": "z"}
    )
    (first, tree_a), (second, tree_b) = (inspect_with_files.fn(image, "admin") for image in (a, b))
    # both disks were made just now, a moment apart
    then, now = ({path: (size, 0) for path, (size, _) in tree.files.items()} for tree in (tree_a, tree_b))
    found = compared((a, first), (b, second), then, now)
    assert [(one.path, one.before, one.after) for one in found.files] == [
        ("/srv/gone", 10, None),
        ("/srv/grown", 1, 9),
        ("/srv/come", None, 3),
    ]
    assert (found.files_added, found.files_removed, found.files_changed) == (1, 1, 1)
    assert [(one.path, one.after - one.before) for one in found.directories] == [("/", 1), ("/srv", 1)]
    assert {one.path: (one.files, one.size_bytes) for one in first.directories}["/opt/deep"] == (1, 1)


def test_a_file_that_was_only_touched_has_changed_and_most_are_counted_only() -> None:
    image, old, new = blank(), {"/x": (5, 1), "/y": (5, 1)}, {"/x": (5, 2), "/y": (5, 1)}
    inside = Contents(image_id=image.id, inspected_at=image.created_at)
    touched = compared((image, inside), (image, inside), old, new)
    assert [(one.path, one.before, one.after) for one in touched.files] == [("/x", 5, 5)]
    assert (touched.files_changed, touched.directories) == (1, ())
    many = {f"/{number}": (number, 0) for number in range(3000)}
    found = compared((image, inside), (image, inside), {}, many)
    assert (found.files_added, len(found.files), found.files[0].path) == (3000, MOST_FILES, "/2999")
