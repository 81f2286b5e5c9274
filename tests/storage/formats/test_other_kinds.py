"""What is no disk is told from a disk: refused by its name, unless somebody insists; what holds anything of a disk passes."""

import os
import random
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from catalog.errors import FormatMismatch, UnsafeImage
from catalog.records import Verdict
from storage.formats.accepted import ACCEPTED
from storage.formats.inspector import Inspector, check_verdict, inspect_reader
from storage.formats.libmagic import named, with_libmagic
from storage.formats.raw.rules import UNRECOGNIZED
from storage.formats.raw.volumes import CONTENTS
from storage.local_files import LocalReader
from tests.services.images import need
from tests.storage.corpus_builders import gpt, mbr, patched, qcow2
from tests.storage.formats.readers import LIMIT, Memory, judged
from tests.storage.other_kinds import SIZE, Mistaken, binaries, followed, texts, unknown_to_us

MIB = 1 << 20
TEXTS = tuple(texts())
MISTAKEN = (*binaries(), *TEXTS)


def insisted(content: bytes, declared: str = "raw") -> Verdict:
    verdict = inspect_reader(Memory(content), LIMIT, declared, accept_unrecognized=True)
    return with_libmagic(verdict, content[:4096], accept_unrecognized=True)


def rules(verdict: Verdict) -> list[str]:
    return [f.rule for f in verdict.findings]


@pytest.mark.parametrize("mistaken", MISTAKEN, ids=str)
def test_a_file_of_another_kind_is_refused_by_its_name(mistaken: Mistaken) -> None:
    with pytest.raises(UnsafeImage) as refused:
        check_verdict(judged(mistaken.content, 65536), "raw")
    assert mistaken.says in str(refused.value)


@pytest.mark.parametrize("mistaken", [m for m in MISTAKEN if m.name in ("rar-5", "long", "page-of-script")], ids=str)
def test_a_long_transfer_of_one_is_stopped_early(mistaken: Mistaken) -> None:
    inspector = Inspector(LIMIT, "raw")
    inspector.feed(memoryview(mistaken.content * (2 * MIB // len(mistaken.content) + 1)))
    assert inspector.refused_early()


@pytest.mark.parametrize("mistaken", TEXTS, ids=str)
def test_a_text_is_refused_as_any_format(mistaken: Mistaken) -> None:
    with pytest.raises((UnsafeImage, FormatMismatch), match="not an image"):
        check_verdict(judged(mistaken.content, 65536), "qcow2")


@pytest.mark.parametrize("mistaken", TEXTS, ids=str)
def test_who_insists_may_add_a_text_and_it_is_on_record(mistaken: Mistaken) -> None:
    verdict = insisted(mistaken.content)
    check_verdict(verdict, "raw")
    assert ACCEPTED.id in rules(verdict)
    assert any(f.severity == "warning" for f in verdict.findings)


def test_the_refusal_says_how_to_insist_only_where_that_helps() -> None:
    with pytest.raises(UnsafeImage, match="accept_unrecognized"):
        check_verdict(judged(b"hello\n", 512), "raw")
    with pytest.raises(UnsafeImage) as refused:
        check_verdict(judged(qcow2(backing=b"/etc/passwd"), 65536), "qcow2")
    assert "accept_unrecognized" not in str(refused.value)


FORCED = {
    "a qcow2 declared raw": qcow2(),
    "a qcow2 with a backing file": qcow2(backing=b"/etc/passwd"),
    "a VMDK descriptor": b"# Disk DescriptorFile\nversion=1\n",
    "a VHDX": b"vhdxfile".ljust(MIB, b"\0"),
    "a fixed VHD": bytes(MIB) + b"conectix".ljust(512, b"\0"),
    "a zip": b"PK\3\4".ljust(MIB, b"\1"),
    "an empty file": b"",
    "a cut disk": gpt(1 << 30),
    "a polyglot": patched(qcow2(), 446, mbr((0x80, 0x83, 1, 100))[446:512]),
}


@pytest.mark.parametrize("name", list(FORCED))
def test_an_attacker_gets_nothing_dangerous_in_by_insisting(name: str) -> None:
    with pytest.raises((UnsafeImage, FormatMismatch)):
        check_verdict(insisted(FORCED[name]), "raw")


def test_who_insists_on_a_blank_volume_is_not_warned_of_it() -> None:
    verdict = insisted(bytes(MIB))
    assert [(f.rule, f.severity) for f in verdict.findings] == [
        (UNRECOGNIZED.id, "info"),
        (ACCEPTED.id, "info"),
    ]


FILLS = {
    "zeros": bytes(MIB),
    "ones": b"\xff" * MIB,
    "a test pattern": b"\x55" * MIB,
    "a test pattern of two bytes": b"\xaa\x55" * (MIB // 2),
    "a test pattern of words": b"\xde\xad\xbe\xef" * (MIB // 4),
    "random bytes": random.Random(1).randbytes(MIB),
    "zeros, then data": bytes(512 << 10) + random.Random(2).randbytes(512 << 10),
}


@pytest.mark.parametrize("name", list(FILLS))
def test_what_nobody_knows_passes_with_a_warning(name: str) -> None:
    verdict = with_libmagic(judged(FILLS[name], 65536), FILLS[name][:4096])
    check_verdict(verdict, "raw")
    assert [(f.rule, f.severity) for f in verdict.findings] == [(UNRECOGNIZED.id, "warning")]


def test_no_encrypted_volume_is_taken_for_something_by_chance() -> None:
    """libmagic alone takes one in 18 of them for a program, a key or music; here each is asked about that it names."""
    need("file")
    chance, asked = random.Random(5), 0
    for _ in range(400):
        head = chance.randbytes(4096)
        asked += 1
        assert named(head) == ""
    for weak in (b"\xe9\x12\x34", b"MZ", b"\x78\x9c", b"\xff\xfb\x90", b"\x99\x01", b"\x85\x02", b"BM"):
        assert named(followed(weak, 4096)) == "", weak
    assert asked == 400


def counting(form: str, start: int) -> bytes:
    return b"".join(struct.pack(form, start + n) for n in range(4096 // struct.calcsize(form)))


REGULAR = {
    "counted by bytes, a Targa image": bytes(range(256)) * 16,
    "counted by words, colours of Photoshop": counting(">I", 1),
    "counted by words, Common Data Format": counting(">I", 65535),
    "counted by long words, a dBase memo": counting("<Q", 1),
    "counted by long words, a download of aria2": counting("<Q", 256),
    "filled with one byte, a Java key store": b"\xce" * 4096,
    "filled with one word, a Java key store": b"\xfe\xed" * 2048,
}


@pytest.mark.parametrize("name", list(REGULAR))
def test_a_regular_pattern_is_taken_for_nothing_by_the_fields_of_a_header(name: str) -> None:
    """libmagic names each: a zero, or a number that is small enough, is no signature."""
    need("file")
    said = subprocess.run(["file", "-b", "-"], input=REGULAR[name], capture_output=True, check=True).stdout
    assert said.strip() != b"data"
    assert named(REGULAR[name]) == ""


@pytest.mark.parametrize("mistaken", list(unknown_to_us()), ids=str)
def test_libmagic_is_asked_about_what_we_do_not_know(mistaken: Mistaken) -> None:
    need("file")
    ours = judged(mistaken.content, 65536)
    assert [f.rule for f in ours.findings] == [UNRECOGNIZED.id]
    with pytest.raises(UnsafeImage, match=mistaken.says):
        check_verdict(with_libmagic(ours, mistaken.content[:4096]), "raw")
    verdict = insisted(mistaken.content)
    check_verdict(verdict, "raw")
    assert ACCEPTED.id in rules(verdict)


def test_a_file_system_that_only_libmagic_knows_is_a_disk() -> None:
    need("file")
    big_endian = followed(b"sqsh" + bytes(24) + b"\0\4\0\0" + bytes(64))
    verdict = with_libmagic(judged(big_endian, 65536), big_endian[:4096])
    check_verdict(verdict, "raw")
    assert rules(verdict) == ["raw.libmagic"]


def test_libmagic_is_not_asked_where_it_is_not_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that we recognize starts no program, even where there is none."""
    monkeypatch.setenv("PATH", "/nowhere")
    disk = gpt(2000)
    verdict = judged(disk, 65536)
    assert with_libmagic(verdict, disk[:4096]) == verdict


def test_without_libmagic_an_unknown_file_passes_and_the_verdict_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    content = FILLS["random bytes"]
    verdict = with_libmagic(judged(content, 65536), content[:4096])
    check_verdict(verdict, "raw")
    assert rules(verdict) == [UNRECOGNIZED.id, "file.libmagic-unasked"]


MADE: dict[str, tuple[str, ...]] = {
    "ext4": ("mke2fs", "-q", "-F", "-t", "ext4"),
    "ext2": ("mke2fs", "-q", "-F", "-t", "ext2", "-b", "1024"),
    "xfs": ("mkfs.xfs", "-q", "-f"),
    "vfat": ("mkfs.vfat",),
    "ntfs": ("mkntfs", "-q", "-F", "-f"),
    "swap": ("mkswap",),
}


def volume(name: str, folder: Path) -> Path:
    program, *options = MADE[name]
    need(program)
    path = folder / "volume"
    path.touch()
    os.truncate(path, (320 if name == "xfs" else 24) * MIB)
    subprocess.run([program, *options, str(path)], check=True, capture_output=True)
    return path


@pytest.mark.parametrize(("name", "at", "magic"), [row for row in CONTENTS if row[1] >= 0])
def test_a_file_that_ends_behind_the_magic_of_its_header_gets_a_verdict(name: str, at: int, magic: bytes) -> None:
    verdict = inspect_reader(Memory(bytes(at) + magic), LIMIT)
    says_its_size = name in ("an XFS file system", "an NTFS file system", "a FAT file system", "a SquashFS file system")
    assert any("truncated" in finding.sentence for finding in verdict.findings) is says_its_size


@pytest.mark.parametrize("name", list(MADE))
def test_a_volume_without_partitions_passes_without_a_word(name: str, tmp_path: Path) -> None:
    with LocalReader(volume(name, tmp_path)) as reader:
        verdict = inspect_reader(reader, LIMIT)
    check_verdict(verdict, "raw")
    assert verdict.findings == ()


@pytest.mark.parametrize(
    ("name", "severity"),
    [("ext4", "error"), ("ext2", "error"), ("xfs", "error"), ("vfat", "warning"), ("ntfs", "warning")],
)
def test_a_volume_that_was_cut_is_told(name: str, severity: str, tmp_path: Path) -> None:
    cut = volume(name, tmp_path)
    os.truncate(cut, cut.stat().st_size // 2)
    with LocalReader(cut) as reader:
        verdict = inspect_reader(reader, LIMIT)
    (finding,) = verdict.findings
    assert finding.severity == severity
    assert "truncated" in finding.sentence


MEMBERS: dict[str, Callable[[], bytes]] = {
    "lvm": lambda: patched(bytes(MIB), 0x200, b"LABELONE" + bytes(16) + b"LVM2 001"),
    "raid": lambda: patched(bytes(MIB), 4096, b"\xfc\x4e\x2b\xa9\1\0\0\0"),
    "btrfs": lambda: patched(bytes(MIB), 0x10040, b"_BHRfS_M"),
    "zfs": lambda: patched(bytes(MIB), 0x4000, b"\1\1\0\0" + bytes(8) + struct.pack(">IIII", 36, 32, 0, 7) + b"version\0"),
    "bluestore": lambda: b"bluestore block device\n".ljust(MIB, b"\0"),
    "bsd-label": lambda: patched(bytes(MIB), 512, b"\x57\x45\x56\x82"),
    "geli": lambda: random.Random(1).randbytes(MIB) + b"GEOM::ELI".ljust(512, b"\0"),
    "boot-sector": lambda: patched(followed(b"\xeb\x3c", 510), 0, b"\xfa") + b"\x55\xaa" + bytes(MIB),
    "vmfs": lambda: patched(bytes(2 * MIB), 0x100000, b"\x0d\xd0\x01\xc0"),
}  # fmt: skip


@pytest.mark.parametrize("name", list(MEMBERS))
def test_a_part_of_something_larger_is_a_disk(name: str) -> None:
    verdict = judged(MEMBERS[name](), 65536)
    check_verdict(verdict, "raw")
    assert verdict.findings == ()


@pytest.mark.parametrize(("head", "name"), [(b"LUKS\xba\xbe\0\2", "LUKS"), (b"\xeb\x58\x90-FVE-FS-", "BitLocker")])
def test_an_encrypted_volume_passes_with_a_warning_that_names_it(head: bytes, name: str) -> None:
    verdict = judged(head.ljust(MIB, b"\0"), 65536)
    check_verdict(verdict, "raw")
    (finding,) = verdict.findings
    assert (finding.rule, finding.severity) == ("file.encrypted", "warning")
    assert name in finding.sentence


def test_a_live_root_is_a_volume_that_nothing_boots_from() -> None:
    head = b"hsqs" + bytes(36) + struct.pack("<Q", SIZE) + bytes(48)
    assert rules(judged(followed(head), 65536)) == ["raw.read-only"]
    assert "raw.filesystem-truncated" in rules(judged(followed(head)[: SIZE // 2], 65536))


EARLY = {
    "a Git LFS pointer": (b"version https://git-lfs.github.com/spec/v1\n" * 2000, "raw", UnsafeImage),
    "a VHDX": (b"vhdxfile".ljust(MIB, b"\0"), "raw", UnsafeImage),
    "a qcow2 declared raw": (qcow2(), "raw", FormatMismatch),
}


@pytest.mark.parametrize("name", list(EARLY))
def test_the_first_bytes_tell_before_all_came(name: str) -> None:
    content, declared, error = EARLY[name]
    inspector = Inspector(LIMIT, declared)
    inspector.feed(memoryview(content[: 64 << 10]))
    with pytest.raises(error):
        check_verdict(inspector.early_verdict(), "raw")


@pytest.mark.parametrize("content", [gpt(1 << 20), bytes(MIB), b"LUKS\xba\xbe\0\2".ljust(MIB, b"\0"), followed(b"\1")])
def test_the_first_bytes_refuse_nothing_that_the_whole_may_be(content: bytes) -> None:
    inspector = Inspector(LIMIT, "raw")
    inspector.feed(memoryview(content[: 64 << 10]))
    check_verdict(inspector.early_verdict(), "raw")
