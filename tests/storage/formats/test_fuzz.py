"""No bytes, however odd, make the inspector or the disk readers crash, hang or grow; and qemu never sees more than we do."""

import json
import random
import resource
import subprocess
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.formats.blocks import Cached, MalformedDisk
from storage.formats.guest_disk import open_disk
from storage.formats.inspector import Inspector, inspect_reader
from storage.formats.regions import HEAD, TAIL
from storage.formats.signatures import SIGNATURES, Signature
from tests.services.images import need
from tests.storage.formats.mutations import SEEDS, cases
from tests.storage.formats.readers import LIMIT, Memory, errors, judged

SAMPLE, MANY = 150, 16_000  # mutations of each of the seeds
SLOWEST_S = 5.0
MEMORY_KIB = 300 << 10


def examine(contents: Iterator[bytes]) -> None:
    """Judge each file and read what our readers show of it: no error, no hang, no growth."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for content in contents:
        begun = time.monotonic()
        verdict = inspect_reader(Memory(content), LIMIT)
        assert all(f.sentence.isprintable() for f in verdict.findings)
        if verdict.format in ("qcow2", "vmdk", "raw", "iso"):
            read_some(content, verdict.format)
        assert time.monotonic() - begun < SLOWEST_S
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MEMORY_KIB


def read_some(content: bytes, image_format: str) -> None:
    try:
        disk = open_disk(Cached(Memory(content)), image_format)
        for place in (0, 512, 65536, disk.size_bytes // 2, max(disk.size_bytes - 512, 0)):
            assert len(disk.read_at(place, 4096)) <= 4096
    except MalformedDisk:
        pass


@pytest.mark.parametrize("name", list(SEEDS))
def test_mutated_images_do_no_harm(name: str) -> None:
    examine(cases(name, SAMPLE))


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", list(SEEDS))
def test_a_great_many_mutated_images_do_no_harm(name: str) -> None:
    examine(cases(name, MANY))


@pytest.mark.parametrize("name", list(SEEDS))
def test_qemu_sees_in_a_passed_image_what_we_see(name: str, tmp_path: Path) -> None:
    compared_with_qemu(name, 12, tmp_path)


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", list(SEEDS))
def test_qemu_sees_in_many_passed_images_what_we_see(name: str, tmp_path: Path) -> None:
    compared_with_qemu(name, 400, tmp_path)


def compared_with_qemu(name: str, count: int, tmp_path: Path) -> None:
    """Let qemu guess the format of files that pass, which nothing but a test may do."""
    need("qemu-img")
    path = tmp_path / "image"
    passing = (c for c in cases(name, MANY) if inspect_reader(Memory(c), LIMIT).safe)
    for content in islice(passing, count):
        path.write_bytes(content)
        done = subprocess.run(["qemu-img", "info", "--output=json", path], capture_output=True, check=False)
        if done.returncode:
            continue  # qemu is even stricter
        seen, verdict = json.loads(done.stdout), inspect_reader(Memory(content), LIMIT)
        assert seen["format"] == ("raw" if verdict.format == "iso" else verdict.format)
        assert seen["virtual-size"] == verdict.virtual_size_bytes
        assert "backing-filename" not in seen
        assert "data-file" not in json.dumps(seen.get("format-specific", {}))


@given(st.binary(max_size=3000), st.integers(1, 700))
@settings(max_examples=150, deadline=None)
def test_any_bytes_get_a_verdict(content: bytes, block: int) -> None:
    assert judged(content, block) == judged(content, 1 << 20)


@given(st.sampled_from(SIGNATURES), st.binary(max_size=2000))
@settings(max_examples=150, deadline=None)
def test_a_signature_before_random_bytes_gets_a_verdict(signature: Signature, noise: bytes) -> None:
    content = bytes(max(signature.offset, 0)) + signature.magic + noise
    assert judged(content, 1 << 20).format


@pytest.mark.parametrize("name", ["qcow2-3", "vmdk-stream", "gpt"])
def test_the_read_sizes_never_matter(name: str) -> None:
    chance = random.Random(name)
    for content in cases(name, 25):
        inspector, at = Inspector(LIMIT), 0
        while at < len(content):
            size = chance.choice((1, 17, 512, 4096, 65536, 1 << 20)) if at > 1 << 10 else 600
            inspector.feed(memoryview(content)[at : at + size])
            at += max(size, len(content) // 400)
            inspector.feed(memoryview(content)[at - max(size, len(content) // 400) + size : at])
        assert inspector.finish() == judged(content, 1 << 20)


def test_memory_stays_bounded_whatever_the_length() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    inspector, block = Inspector(1 << 50), memoryview(bytes(8 << 20))
    for _ in range(512):
        inspector.feed(block)
    assert inspector.finish().virtual_size_bytes == 4 << 30
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < (HEAD + TAIL + (16 << 20)) >> 10


def test_a_block_may_be_overwritten_after_it_was_fed() -> None:
    content = SEEDS["qcow2-3"].content
    inspector, buffer = Inspector(LIMIT), bytearray(4096)
    for start in range(0, len(content), len(buffer)):
        buffer[:] = content[start : start + len(buffer)]
        inspector.feed(memoryview(buffer))
    assert inspector.finish() == judged(content, 4096)


def test_a_hopeless_transfer_is_told_early() -> None:
    inspector = Inspector(LIMIT)
    assert inspector.refused_early() == ()
    inspector.feed(memoryview(b"<html>" + bytes(HEAD)))
    assert [f.rule for f in inspector.refused_early()] == ["file.html-page"]


@pytest.mark.parametrize(
    "start",
    [b"<P\xc32\xcc\x11", b"<h1\x00", b"<a\n\x01\xff", b"<!--\x02-->", b"\x1f\x8b", b"#!\x80", b"BM", b"{}\xff", b"%!"],
)
def test_bytes_of_chance_are_no_text_whatever_they_begin_with(start: bytes) -> None:
    inspector = Inspector(LIMIT)
    inspector.feed(memoryview(start + random.Random(7).randbytes(HEAD)))
    assert inspector.refused_early() == ()


@pytest.mark.parametrize("name", list(SEEDS))
def test_a_good_transfer_is_never_told_to_stop(name: str) -> None:
    inspector = Inspector(LIMIT)
    inspector.feed(memoryview(SEEDS[name].content))
    inspector.feed(memoryview(bytes(2 * HEAD)))
    assert inspector.refused_early() == ()
    assert errors(judged(SEEDS[name].content, 4096)) == []
