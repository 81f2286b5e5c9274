"""OSV exports in each shape give the same advisories; what is bad of one is named, what is bad as a whole refused in a sentence."""

import json
import random
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from catalog.errors import SourceForbidden, SourceNotFound
from catalog.settings import Settings
from storage.sources.osv import pieces, records
from storage.sources.osv.records import Left, advisories
from tests.services.osv_export import KINDS, record, written, zipped

SOME = [
    record(f"DEBIAN-CVE-2026-{n}", "Debian:12", f"package-{n}", [("introduced", "0"), ("fixed", f"{n}")])
    for n in range(7)
]
NAMES = sorted(str(one["id"]) for one in SOME)
DEEP = b'{"id": "X", "details": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.model_validate({"file_roots": (tmp_path,), "home": tmp_path / "home"})


def read(place: Path | str, settings: Settings) -> tuple[list[str], Left]:
    left = Left()
    return sorted(one.id for one in advisories(f"file://{place}", settings, left)), left


@pytest.mark.parametrize("kind", KINDS)
def test_each_shape_gives_the_same_advisories(tmp_path: Path, settings: Settings, kind: str) -> None:
    assert read(written(tmp_path, kind, SOME), settings) == (NAMES, Left())


def test_a_single_record_is_an_export_too(tmp_path: Path, settings: Settings) -> None:
    for indent in (None, 2):
        (tmp_path / "one.json").write_text(json.dumps(SOME[3], indent=indent))
        assert read(tmp_path / "one.json", settings) == (["DEBIAN-CVE-2026-3"], Left())


BAD = {
    "cut.json": b'{"id": "X", "affec', "deep.json": DEEP, "list.json": b"[1]", "nothing.json": b"", "nameless.json": b'{"affected": []}',
    "odd.json": b'{"id": "X", "affected": [{"package": {"ecosystem": "Debian:12", "name": 7}}]}', "latin.json": b'{"id": "\xe9"}',
    "half.json": b'{"id": "\\ud800"}', "zeros.json": bytes(4096),
}  # fmt: skip


def test_a_bad_record_is_named_and_the_others_stand(tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "bad.zip").write_bytes(zipped(SOME, more={**BAD, "README.txt": b"not a record"}))
    folder = written(tmp_path, "folder", SOME)
    for name, data in BAD.items():
        (folder / name).write_bytes(data)
    for place in (tmp_path / "bad.zip", folder):
        found, left = read(place, settings)
        assert (found, left.skipped) == (NAMES, len(BAD))
        assert sorted(sentence.partition(":")[0] for sentence in left.told) == sorted(BAD)
        assert all(len(sentence) < 320 and sentence.isprintable() for sentence in left.told)


def test_no_more_than_twenty_are_told(tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "x.jsonl").write_bytes(json.dumps(SOME[0]).encode() + b"\n" + b"{]\n" * 50)
    found, left = read(tmp_path / "x.jsonl", settings)
    assert (len(found), left.skipped, len(left.told), left.told[0][:7]) == (1, 50, 20, "line 2:")


def test_a_record_may_not_be_large(tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "MOST_RECORD", 4096)
    large = {**SOME[0], "id": "LARGE", "details": "x" * 5000}
    for kind in KINDS:
        found, left = read(written(tmp_path, kind, [*SOME, large]), settings)
        assert (found, left.skipped) == (NAMES, 1), kind
        assert "MiB" in left.told[0]


@pytest.mark.parametrize(
    ("name", "data", "told"),
    [
        ("text", b"no export at all\n" * 100, "neither a zip nor JSON of OSV records"), ("number", b"17", "neither a zip nor JSON of OSV records"), ("empty", b"", "neither"),
        ("nested", DEEP.replace(b'"X"', b'"X"\n'), "neither"), ("tar", b"", "it is a tar"),
        ("cut", zipped(SOME)[:-200], "can't be read as an OSV export"), ("damaged", zipped(SOME).replace(b"PK\x01\x02", b"PK\x09\x09"), "can't be read as an OSV export"),
    ],
)  # fmt: skip
def test_what_is_no_export_is_refused_in_a_sentence(
    tmp_path: Path, settings: Settings, name: str, data: bytes, told: str
) -> None:
    place = tmp_path / name
    place.write_bytes(data)
    if name == "tar":
        import tarfile

        with tarfile.open(place, "w") as made:
            made.add(written(tmp_path, "lines", SOME), "x.json")
    with pytest.raises(SourceForbidden, match=told):
        read(place, settings)


def test_a_bomb_ends(tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = zipped(
        SOME, streamed=True, more={"bomb.json": bytes(80 << 20)}
    )  # a thousand to one, its size told behind it only
    (tmp_path / "bomb.zip").write_bytes(bomb)
    with pytest.raises(SourceForbidden, match="can't be read as an OSV export"):
        read(tmp_path / "bomb.zip", settings)
    many = written(tmp_path, "zip", SOME)
    monkeypatch.setattr(records, "MOST_BYTES", 2000)
    with pytest.raises(SourceForbidden, match="more than"):
        read(many, settings)
    monkeypatch.setattr(records, "MOST_PIECES", 3)
    with pytest.raises(SourceForbidden, match="more than 3 records"):
        read(written(tmp_path, "folder", SOME), settings)
    monkeypatch.setattr(pieces, "MOST_PIECES", 3)
    with pytest.raises(SourceForbidden, match="more than 3 members"):
        read(many, settings)
    monkeypatch.setattr(pieces, "MOST_PACKED", 1000)
    with pytest.raises(SourceForbidden, match="which no OSV export has"):
        read(written(tmp_path, "lines", SOME), settings)


@pytest.mark.parametrize("text", [b'{"id": "A"}\n' + b"x" * 5000, b"[\n" + b'"x",\n' * 2000 + b"]"])
def test_lines_and_documents_have_an_end(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch, text: bytes
) -> None:
    monkeypatch.setattr(pieces, "MOST_DOCUMENT", 4096)
    (tmp_path / "x").write_bytes(text)
    with pytest.raises(SourceForbidden, match="more than"):
        read(tmp_path / "x", settings)


def test_no_folder_leads_out(tmp_path: Path, settings: Settings, with_: Callable[..., Settings]) -> None:
    outside = written(tmp_path, "folder", SOME)
    root = tmp_path / "root"
    (root / "in").mkdir(parents=True)
    closed = with_(file_roots=(root,))
    (root / "link").symlink_to(outside)
    (root / "in" / "away").symlink_to(outside)
    (root / "in" / "one.json").symlink_to(outside / "200" / f"{SOME[0]['id']}.json")
    for place in (outside, root / "link", root / "in/../../export.folder", root / "link/200"):
        with pytest.raises(SourceForbidden, match="IMAGEWRIGHT_FILE_ROOTS"):
            read(place, closed)
    found, left = read(root / "in", closed)
    assert (found, left.skipped) == ([], 1)
    with pytest.raises(SourceNotFound):
        read(root / "nowhere", closed)


def test_what_is_no_file_in_a_folder_is_not_waited_for(tmp_path: Path, settings: Settings) -> None:
    import os

    folder = written(tmp_path, "folder", SOME)
    os.mkfifo(folder / "pipe.json")
    found, left = read(folder, settings)
    assert (found, left.told) == (NAMES, ["pipe.json: it is not a regular file"])


def test_damaged_exports_raise_nothing_of_their_own(tmp_path: Path, settings: Settings) -> None:
    rng = random.Random(7)
    wholes = [written(tmp_path, kind, SOME).read_bytes() for kind in KINDS if kind != "folder"]
    for _ in range(200):
        data = bytearray(rng.choice(wholes))
        for _ in range(rng.randrange(1, 12)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        (tmp_path / "x").write_bytes(data)
        with suppress(SourceForbidden):
            read(tmp_path / "x", settings)
