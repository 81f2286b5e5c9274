"""Files of this host: regular ones below the roots, however the path is spelled or swapped."""

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from catalog.errors import SourceChanged, SourceForbidden, SourceNotFound
from catalog.settings import Settings
from storage.sources import open_source
from tests.storage.sources.reading import fetch, read


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root").mkdir()
    (tmp_path / "outside.raw").write_bytes(b"secret")
    return tmp_path / "root"


@pytest.fixture
def closed(root: Path, with_: Callable[..., Settings]) -> Settings:
    return with_(file_roots=(root,))


def refuse(path: object, settings: Settings) -> None:
    with pytest.raises(SourceForbidden):
        open_source(f"file://{path}", settings).probe()


def test_no_path_leads_out(root: Path, closed: Settings) -> None:
    (root / "link.raw").symlink_to(root.parent / "outside.raw")
    (root / "folder").symlink_to(root.parent)
    (root / "up").symlink_to("../outside.raw")
    for path in (
        "link.raw",
        "folder/outside.raw",
        "up",
        "../outside.raw",
        "%2e%2e/outside.raw",
        "x/../../outside.raw",
    ):
        (root / "x").mkdir(exist_ok=True)
        refuse(f"{root}/{path}", closed)
    refuse(f"/proc/self/root{root.parent}/outside.raw", closed)
    refuse(f"{root}-sibling/x", closed) if (root.parent / "root-sibling").exists() else None


def test_a_sibling_with_the_same_beginning_is_outside(root: Path, closed: Settings) -> None:
    sibling = root.parent / "root2"
    sibling.mkdir()
    (sibling / "x").write_bytes(b"x")
    refuse(sibling / "x", closed)


def test_links_that_stay_inside_are_followed(root: Path, closed: Settings) -> None:
    (root / "a.raw").write_bytes(b"image")
    (root / "b.raw").symlink_to("a.raw")
    assert fetch(open_source(f"file://{root}/b.raw", closed)) == b"image"


def test_a_root_may_itself_be_a_link(root: Path, with_: Callable[..., Settings]) -> None:
    (root / "a.raw").write_bytes(b"image")
    (root.parent / "alias").symlink_to(root)
    assert (
        fetch(open_source(f"file://{root.parent}/alias/a.raw", with_(file_roots=(root.parent / "alias",)))) == b"image"
    )


def test_what_is_no_regular_file_is_refused_without_waiting(root: Path, closed: Settings) -> None:
    os.mkfifo(root / "pipe")
    refuse(root / "pipe", closed)
    refuse(root, closed)
    refuse("/dev/zero", closed.model_copy(update={"file_roots": (Path("/dev"),)}))


def test_an_absent_file_is_not_found(root: Path, closed: Settings) -> None:
    for path in ("absent.raw", "a/b/c"):
        with pytest.raises(SourceNotFound):
            open_source(f"file://{root}/{path}", closed).probe()


def test_a_query_is_no_part_of_a_name(root: Path, closed: Settings) -> None:
    with pytest.raises(SourceForbidden, match="%3F"):
        open_source(f"file://{root}/a?b", closed)
    (root / "a?b#c%d").write_bytes(b"x")
    assert fetch(open_source(f"file://{root}/a%3Fb%23c%25d", closed)) == b"x"


def test_a_link_swapped_all_the_time_never_leads_out(root: Path, closed: Settings) -> None:
    (root / "good").write_bytes(b"public")
    name, stop = root / "disk", threading.Event()

    def swap() -> None:
        targets = (root / "good", root.parent / "outside.raw")
        for turn in range(1 << 30):
            if stop.is_set():
                return
            aside = root / "aside"
            aside.symlink_to(targets[turn % 2])
            aside.rename(name)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        for _ in range(300):
            try:
                assert fetch(open_source(f"file://{name}", closed)) == b"public"
            except (SourceForbidden, SourceChanged, SourceNotFound):
                continue
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize("damage", [b"longer than before", b"ab", b"same-size"])
def test_a_change_while_it_is_read_is_seen_at_the_end(root: Path, closed: Settings, damage: bytes) -> None:
    path = root / "disk.raw"
    path.write_bytes(b"123456789")
    source = open_source(f"file://{path}", closed)
    with source.open(0, source.probe()) as stream:
        assert stream.readinto(memoryview(bytearray(1))) == 1
        path.write_bytes(damage)
        with pytest.raises(SourceChanged):
            read(stream)


def test_a_replaced_file_of_equal_size_and_time_is_another(root: Path, closed: Settings) -> None:
    path = root / "disk.raw"
    path.write_bytes(b"before")
    source = open_source(f"file://{path}", closed)
    info, facts = source.probe(), path.stat()
    aside = root / "aside"
    aside.write_bytes(b"after!")
    os.utime(aside, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    aside.rename(path)
    with pytest.raises(SourceChanged):
        source.open(2, info)
