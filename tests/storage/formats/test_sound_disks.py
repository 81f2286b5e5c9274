"""Disks as honest people have them, which rules made for hostile ones once refused."""

import struct
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from catalog.errors import FormatMismatch
from catalog.records import ImageFormat, Verdict
from storage.formats.inspector import check_verdict, inspect_reader
from tests.services.images import need
from tests.storage.corpus_builders import CLUSTER, descriptor, gpt, iso, mbr, patched, qcow2, snapshot, vmdk
from tests.storage.formats.readers import LIMIT, Memory, errors, judged


def run(*command: object) -> None:
    subprocess.run([str(word) for word in command], check=True, capture_output=True)


def with_snapshots(folder: Path, count: int) -> bytes:
    """A disk whose last change was a snapshot: behind its table the file ends, not padded to anything."""
    need("qemu-img", "qemu-io")
    path = folder / "disk.qcow2"
    run("qemu-img", "create", "-q", "-f", "qcow2", path, "16M")
    run("qemu-io", "-f", "qcow2", "-c", "write -P 7 0 64k", path)
    for number in range(count):
        run("qemu-img", "snapshot", "-c", f"auto-{number}", path)
    return path.read_bytes()


def scheduled(count: int) -> bytes:
    """A disk with a great many snapshots, all of one state."""
    table = b"".join(snapshot(name=b"auto-%05d" % number) for number in range(count))
    at = 6 * CLUSTER
    whole = qcow2(snapshots=count, snapshots_offset=at, clusters=6)
    return whole + table.rstrip(b"\0").ljust(len(table) - 7, b"\0")


GBK = "系统盘 乗.vmdk".encode("gbk")  # the second byte of the last character is a backslash


def named(name: bytes) -> bytes:
    return descriptor(extents='RW 16384 SPARSE "disk.vmdk"').replace(b"disk.vmdk", name)


SOUND: dict[str, tuple[ImageFormat, Callable[[Path], bytes]]] = {
    "qcow2 after a snapshot": ("qcow2", lambda folder: with_snapshots(folder, 1)),
    "qcow2 with a snapshot a day": ("qcow2", lambda folder: with_snapshots(folder, 20)),
    "qcow2 with 40,000 snapshots": ("qcow2", lambda _: scheduled(40_000)),
    "vmdk named in GBK": ("vmdk", lambda _: vmdk(text=named(GBK))),
    "vmdk named in Latin-1": ("vmdk", lambda _: vmdk(text=named("Entwürfe.vmdk".encode("latin-1")))),
    "vmdk named in UTF-8": ("vmdk", lambda _: vmdk(text=named("диск\x85.vmdk".encode()))),
    "vmdk with a comment in Latin-1": (
        "vmdk",
        lambda _: vmdk(text=descriptor().replace(b"# The Disk", "# Développement".encode("latin-1"))),
    ),
    "vmdk with a tool's name in Latin-1": (
        "vmdk",
        lambda _: vmdk(text=descriptor(more='ddb.toolsVersion = "é"\nddb.comment = "\x85\xa0"')),
    ),
}


@pytest.mark.parametrize("name", list(SOUND))
def test_a_sound_disk_passes(name: str, tmp_path: Path) -> None:
    declared, make = SOUND[name]
    content = make(tmp_path)
    begun = time.monotonic()
    verdict = inspect_reader(Memory(content), LIMIT)
    assert errors(verdict) == []
    check_verdict(verdict, declared)
    assert time.monotonic() - begun < 10
    assert without_unseen(judged(content, 65536)) == without_unseen(verdict)


def without_unseen(verdict: Verdict) -> list[str]:
    return [f.rule for f in verdict.findings if f.rule != "file.tables-unseen"]


def test_a_person_is_told_of_the_snapshots(tmp_path: Path) -> None:
    verdict = inspect_reader(Memory(with_snapshots(tmp_path, 2)), LIMIT)
    assert "2 internal snapshots are in the file" in verdict.findings[0].sentence


def test_a_snapshot_whose_tables_are_gone_is_named() -> None:
    table = snapshot() + patched(snapshot(), 0, struct.pack(">Q", 1 << 40))
    verdict = inspect_reader(Memory(qcow2(snapshots=2, snapshot_table=table)), LIMIT)
    assert any("internal snapshot 2 " in f.sentence for f in verdict.findings if f.rule == "qcow2.snapshot-l1")


@pytest.mark.parametrize("name", [b"..\\x.vmdk", b"c:\\x.vmdk", b"\xcf\xb5../x.vmdk", b"\xcf\xb5\\x.vmdk/"])
def test_another_code_page_is_no_way_to_another_folder(name: bytes) -> None:
    assert "vmdk.external-extents" in errors(judged(vmdk(text=named(name)), 65536))


def test_a_cut_table_of_snapshots_is_refused(tmp_path: Path) -> None:
    whole = with_snapshots(tmp_path, 3)
    for missing in (1, 8, 40, 100):
        assert "qcow2.snapshot-table" in errors(inspect_reader(Memory(whole[:-missing]), LIMIT))


OLD_VOLUME = iso(blocks=600_000, size=0x9000)[0x8000:0x9000]


def over_an_old_iso(table: bytes) -> bytes:
    """A stick that held an ISO, partitioned anew: what lies before the first partition stays."""
    return patched(table, 0x8000, OLD_VOLUME)


def hybrid(*entries: tuple[int, int, int, int]) -> bytes:
    return patched(iso(blocks=512), 0, mbr(*entries, code=b"\xfa\xfc"))


BOTH: dict[str, tuple[bytes, str]] = {
    "an MBR over an old ISO": (
        over_an_old_iso(mbr((0, 0x83, 2048, 2048)).ljust(2 << 20, b"\0")),
        "iso.leftover",
    ),
    "a GPT over an old ISO": (over_an_old_iso(gpt(2000, first=1024)), "iso.leftover"),
    "isohybrid": (hybrid((0x80, 0x17, 0, 2048)), "iso.hybrid"),
    "Debian's hybrid": (hybrid((0x80, 0, 0, 2048), (0, 0xEF, 64, 100)), "iso.hybrid"),
    "a partition of no type": (hybrid((0x80, 0, 0, 2048)), "iso.hybrid"),
    "a GPT hybrid": (
        patched(iso(blocks=512), 0, gpt(2000, first=64)[:0x8000]),
        "iso.hybrid",
    ),
}


@pytest.mark.parametrize("name", list(BOTH))
def test_a_disk_that_is_or_was_an_iso_as_well_may_be_added_as_a_disk(name: str) -> None:
    content, rule = BOTH[name]
    verdict = inspect_reader(Memory(content), LIMIT, "raw")
    check_verdict(verdict, "raw")
    assert rule in [f.rule for f in verdict.findings]


@pytest.mark.parametrize("name", [name for name, (_, rule) in BOTH.items() if rule == "iso.hybrid"])
def test_a_hybrid_may_be_added_as_an_iso_as_well(name: str) -> None:
    check_verdict(inspect_reader(Memory(BOTH[name][0]), LIMIT, "iso"), "iso")


def test_a_plain_iso_is_no_disk() -> None:
    with pytest.raises(FormatMismatch, match="declared raw, but the bytes are iso"):
        check_verdict(inspect_reader(Memory(iso()), LIMIT, "raw"), "raw")


@pytest.mark.parametrize("declared", ["raw", "iso"])
def test_a_cut_hybrid_is_refused_as_either(declared: str) -> None:
    cut = hybrid((0x80, 0x17, 0, 2048))[: 300 << 10]
    assert "iso.truncated" in errors(inspect_reader(Memory(cut), LIMIT, declared))


@pytest.mark.parametrize("declared", ["qcow2", "vmdk", "raw"])
def test_a_hybrid_hides_no_other_format(declared: str) -> None:
    """An attacker may not use that two formats at once are fine here."""
    both = patched(BOTH["isohybrid"][0], 0, b"QFI\xfb\0\0\0\3")
    assert "file.polyglot" in errors(inspect_reader(Memory(both), LIMIT, declared))


def test_a_gpt_disk_that_was_cut_behind_its_last_partition_is_told() -> None:
    whole = gpt(1000)
    assert [f.rule for f in judged(whole, 4096).findings] == []
    (finding,) = judged(whole[: 800 << 10], 4096).findings
    assert (finding.rule, finding.severity) == ("raw.gpt-backup", "warning")
    assert "backup GPT" in finding.sentence
    assert "download" in finding.sentence


def test_a_gpt_whose_backup_is_overwritten_is_told() -> None:
    whole = gpt(1000)
    assert [f.rule for f in judged(patched(whole, -512, bytes(512)), 4096).findings] == ["raw.no-gpt-backup"]


def test_a_gpt_whose_entries_lie_outside_is_refused() -> None:
    assert "raw.gpt-table" in errors(judged(patched(gpt(1000), 512 + 72, struct.pack("<Q", 1 << 30)), 4096))
