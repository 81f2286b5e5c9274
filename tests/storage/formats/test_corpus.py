"""Every hostile file is refused by the rule that was made for it, at any read size; every good one passes."""

from collections import Counter

import pytest

from catalog.errors import FormatMismatch, UnsafeImage
from catalog.records import ImageFormat
from storage.formats.inspector import check_verdict, inspect_reader
from tests.storage.corpus import LIMIT, Hostile, hostile_files
from tests.storage.corpus_builders import (
    CLUSTER,
    MIB,
    descriptor,
    gpt,
    iso,
    mbr,
    patched,
    qcow2,
    snapshot,
    stream_vmdk,
    vmdk,
)
from tests.storage.formats.readers import Memory, errors, judged

HOSTILE = hostile_files()
GOOD: dict[ImageFormat, dict[str, bytes]] = {
    "qcow2": {
        "version-2": qcow2(version=2),
        "version-3": qcow2(),
        "dirty": qcow2(incompatible=1),
        "zstd": qcow2(header_length=112, compression=1, incompatible=8),
        "snapshots": qcow2(snapshots=16, snapshot_table=snapshot() * 16),
        "compressed": qcow2(l2=(1 << 62 | 5 * CLUSTER, 1 << 62 | 5 * CLUSTER + 700)),
    },
    "vmdk": {
        "sparse": vmdk(),
        "stream": stream_vmdk(),
        "rounded": vmdk(text=descriptor(extents='RW 16300 SPARSE "disk.vmdk"')),
        "fields": vmdk(text=descriptor(more='encoding="UTF-8"\nisNativeSnapshot="no"')),
    },
    "iso": {
        "plain": iso(),
        "unpadded": iso(blocks=200, size=400_000),
        "hybrid": mbr((0x80, 0, 0, 64)) + iso()[512:],
    },
    "raw": {
        "zeros": bytes(MIB),
        "one-byte": b"\0",
        "luks-1": b"LUKS\xba\xbe\0\x01".ljust(MIB, b"\0"),
        "luks-2": b"LUKS\xba\xbe\0\x02".ljust(MIB, b"\0"),
        "mbr": mbr((0x80, 0x83, 1, 100)).ljust(MIB, b"\0"),
        "gpt": gpt(2047),
        "stale-gpt": patched(gpt(1 << 30), 446, mbr((0x80, 0x83, 1, 100))[446:]),
        "angle-bracket": b"<\x01not a page",
        "brace": b"{\x01not json",
    },
}


def test_the_corpus_is_large_and_its_names_are_unique() -> None:
    assert len(HOSTILE) >= 150
    assert [name for name, count in Counter(map(str, HOSTILE)).items() if count > 1] == []


@pytest.mark.parametrize("hostile", HOSTILE, ids=str)
def test_a_hostile_file_is_refused_by_its_rule_at_any_read_size(hostile: Hostile) -> None:
    content = hostile.content
    verdict = judged(content, 1 << 20, LIMIT)
    assert hostile.rule in errors(verdict)
    with pytest.raises(UnsafeImage) as refused:
        check_verdict(verdict, hostile.declared)
    assert any(f"[{hostile.rule} v" in sentence for sentence in refused.value.findings)
    for block in (17, 512, 65536) if len(content) < 200_000 else (512, 65536):
        assert judged(content, block, LIMIT) == verdict


@pytest.mark.parametrize("hostile", HOSTILE, ids=str)
def test_a_hostile_file_that_is_stored_is_refused_as_well(hostile: Hostile) -> None:
    stored = inspect_reader(Memory(hostile.content), LIMIT)
    assert hostile.rule in errors(stored)
    assert stored.format == judged(hostile.content, 1 << 20, LIMIT).format


def test_sentences_are_printable_and_short() -> None:
    for hostile in HOSTILE:
        for finding in judged(hostile.content, 1 << 20, LIMIT).findings:
            assert finding.sentence.isprintable()
            assert len(finding.sentence) < 400


@pytest.mark.parametrize(("declared", "name"), [(declared, name) for declared, files in GOOD.items() for name in files])
def test_a_good_file_passes(declared: ImageFormat, name: str) -> None:
    content = GOOD[declared][name]
    for block in (17, 512, 65536, 1 << 20):
        verdict = judged(content, max(block, len(content) // 20_000))
        assert errors(verdict) == []
        assert verdict.format == declared
        check_verdict(verdict, declared)


@pytest.mark.parametrize("declared", list(GOOD))
def test_another_declared_format_is_a_mismatch_that_names_both(declared: ImageFormat) -> None:
    for detected, files in GOOD.items():
        verdict = judged(next(iter(files.values())), 65536)
        if detected != declared:
            with pytest.raises(FormatMismatch, match=f"declared {declared}, but the bytes are {detected}"):
                check_verdict(verdict, declared)
