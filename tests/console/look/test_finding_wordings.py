"""What rules find, checks say and comparisons come to has its wording in Chinese: found where it is declared, none lacks one, none is left over."""
# ruff: noqa: RUF001 (punctuation of Chinese)

import re
from collections.abc import Iterator, Mapping
from functools import cache

import pytest

from catalog.errors import PromotionRefused, QualityFailed, SomeFailed, UnsafeImage
from catalog.records import BootFacts, Finding, Image, Loader
from catalog.rules.images.contradictions import REFUSING, boot_findings
from catalog.rules.images.operating_systems import UEFI_LIST
from catalog.rules.promotion.gates import GATES
from console.look.language import chinese
from console.look.sentences import rows_of, sentences_of, template
from console.look.telling import SENTENCES, told
from storage.formats import foreign, registry
from storage.formats.raw import filetypes, texts, volumes
from storage.sources.packed import unpack
from tasks.promotion.promote import CHANGES
from tests.catalog.samples import an_image
from tests.console.look.said_in_source import VALUE, whole_source
from tests.console.look.test_error_wordings import COMMAND, IN_ENGLISH
from tests.storage.formats.test_rules import all_rules

pytestmark = pytest.mark.xdist_group("the whole source")  # parsing it takes 3 s of a process, which keeps it

ARM = Loader(machine="aarch64", path="EFI/BOOT/BOOTAA64.EFI", offset=1 << 20)
VENDOR = Loader(machine="x86_64", path="EFI/debian/grubx64.efi", offset=1 << 20)
IN_CHINESE = re.compile("[\u4e00-\u9fff]")
TABLES = ("finding", "kind", "check")
WHOLE = (
    "catalog/rules/images/boot_ways.py", "catalog/rules/promotion/comparison.py", "flows/promotion/changes.py", "storage/boot/contents.py",
    "storage/boot/probe/inventory/accounts.py", "storage/boot/probe/inventory/apk.py", "storage/boot/probe/inventory/deb.py",
    "storage/boot/probe/inventory/look.py", "storage/boot/probe/inventory/rpm.py", "storage/boot/probe/inventory/tree.py",
    "storage/boot/probe/walking.py", "storage/sources/packed/archive.py", "storage/sources/packed/contents.py",
    "storage/sources/packed/feed.py", "storage/sources/packed/source.py", "storage/sources/packed/tar.py",
    "storage/sources/packed/unpack.py", "storage/sources/packed/zip.py",
)  # fmt: skip
"""Modules whose sentences are what was found in an image, or in the archive that it came in: every one counts."""
NOT_SAID = {
    " ({}, in the file system at byte {})", "; {} can't be read here", "AES encryption", "SELECT blob FROM Packages LIMIT ?",
    "a window of {} MiB of memory, and {} MiB are allowed", "does not list", "has no {} that could be checked of", "install ok installed",
    "method {}", "os: declared {}, found ", "platform: declared {}, found ", "{}: {}",
    f"os: found , which does not boot in UEFI mode; these do: {UEFI_LIST}",
}  # fmt: skip
"""What stands in the modules above and is no sentence of its own."""
FILLED: Mapping[str, tuple[str, ...]] = {
    "nothing that boots was found: {}no boot code": tuple(
        f"nothing that boots was found: {what}no boot code"
        for what in ("", "no partition table and ", "no readable partition table and ")
    ),
    "not so: {}; {}": ("not so: {}; {} is {}", "not so: {}; {} is {}, {} is {}"),
    "since {}: {}": ("since {}: {} packages differ ({} new, {} gone)",),
    **{
        f"not so: {{}}; {{}}; allowed: {allowed}": (f"not so: {{}}; {{}} is {{}}; allowed: {allowed}",)
        for allowed in ("{}", "{} and more", "what matches {}")
    },
}
"""Texts whose parts can't be followed in the source → what they come to."""
BESIDES = {
    "a partitioned raw disk", "another image", "bios_mode {mode:one} or another image",
    "cpu_architecture {architecture:one} with bios_mode {mode:one} or another image", "source.size: {url} sends more than {bytes:d} bytes",
    "{finding:said} [{rule:one} v{version:d}, byte {place:d}]", "{finding:said} [{rule:one} v{version:d}]",
}  # fmt: skip
"""Rows that no text of the source is found for: parts of sentences, and sentences around them."""


def plain(text: str) -> str:
    """Return a text with a value in each place of one."""
    return re.sub(r"\{\w*(:[^}]*)?\}", "7", text)


def rules() -> Iterator[str]:
    """Yield the sentences of the rules over bytes, and of what is declared against them."""
    yield from (rule.sentence for rule in all_rules())
    for call, scope in whole_source().calls["_finding"]:
        yield from whole_source().texts(call.args[1], scope) if scope.module.path.endswith("contradictions.py") else ()
    yield from (rules.evidence for rules in registry.FORMATS.values())


def kinds() -> set[str]:
    """Return what files are called that are no images, and what is to be done about them."""
    shapes = [(kind.name, kind.advice) for kind in filetypes.KINDS] + [(name, do) for name, _, do in filetypes._SHAPES]
    written = [(name, do) for name, _, do in texts._KINDS]
    named = {*foreign.DISKS.values(), *foreign.PACKINGS.values(), *volumes.READ_ONLY, *volumes._SIZES, *volumes.LOCKED}
    return {*named, *(part for pair in (*shapes, *written) for part in pair), "a text", *unpack._SMALLER.values()}


def checks() -> Iterator[str]:
    """Yield what the suites say of each check, and what is said of one that failed."""
    for call, scope in whole_source().calls["said"]:
        yield from whole_source().texts(call.args[0], scope) if scope.module.path.startswith("catalog/quality") else ()
    yield from REFUSING.values()
    yield from whole_source().returned("catalog/quality/run.py", "_failed")


def other_sentences() -> Iterator[str]:
    for path in WHOLE:
        yield from (text for text in whole_source().sentences(path) if " " in text)
    yield from (text for text in whole_source().sentences("tasks/add/land.py") if text.endswith("started over"))
    yield from whole_source().returned("tasks/add/land.py", "described")


@cache
def wanted() -> frozenset[str]:
    """Return all texts, a value in each place of one."""
    found = {*rules(), *kinds(), *checks(), *other_sentences()} - NOT_SAID - {VALUE}
    filled = {text for one in found for text in FILLED.get(one, (one,))}
    return frozenset(map(plain, filled))


def test_every_finding_and_check_is_said_in_chinese() -> None:
    known = sentences_of(*SENTENCES)
    said = {text: known.said(text) for text in wanted()}
    assert sorted(text for text, chinese in said.items() if chinese is None) == []
    left = {text: chinese for text, chinese in said.items() if IN_ENGLISH.search(COMMAND.sub("", chinese or ""))}
    assert left == {}


def test_what_is_named_in_a_finding_has_a_wording_of_its_own() -> None:
    assert sorted(kinds() - rows_of("kind").keys()) == []


def test_no_wording_is_left_over() -> None:
    rows = [(english, template(english, "")) for english in rows_of(*TABLES)]
    used = {english for english, row in rows if any(row.found_in(text) is not None for text in wanted())}
    assert sorted({english for english, _ in rows} - used - BESIDES) == []
    assert sorted(BESIDES & used) == []


def test_every_gate_is_a_word_of_the_pages() -> None:
    assert sorted({*GATES, CHANGES} - chinese().keys()) == []


def found_of(facts: BootFacts, **declared: object) -> tuple[Finding, ...]:
    image: Image = an_image(image_type="System", platform="Linux", cpu_architecture="x86_64", **declared)
    return boot_findings(image, facts)


@pytest.mark.parametrize(
    ("facts", "declared"),
    [
        (BootFacts(partition_table="gpt"), {"bios_mode": "UEFI"}),
        (BootFacts(partition_table="none"), {"bios_mode": "Legacy"}),
        (BootFacts(partition_table="mbr", bios_boot=True, uefi_boot=("aarch64",)), {"bios_mode": "UEFI"}),
        (BootFacts(uefi_boot=("aarch64",), loaders=(ARM,)), {"bios_mode": "Legacy"}),
        (BootFacts(loaders=(VENDOR,)), {"bios_mode": "UEFI"}),
        (BootFacts(bios_code=True), {"bios_mode": "Legacy"}),
        (BootFacts(bios_boot=True, guest_os="Windows Server 2003", virtio_disk=False, virtio_network=False), {"bios_mode": "Legacy", "virtio": True}),
        (BootFacts(bios_boot=True, guest_os="Debian 12", virtio_disk=False), {"bios_mode": "Legacy", "virtio": True, "os": "Windows 11"}),
        (BootFacts(bios_boot=True, guest_agent=False), {"bios_mode": "Legacy", "elastic_baremetal": True}),
    ],
)  # fmt: skip
def test_what_is_found_against_what_was_declared_is_all_said_in_chinese(
    facts: BootFacts, declared: dict[str, object]
) -> None:
    found = found_of(facts, **declared)
    assert found
    for text in (text for one in found for text in (one.sentence, one.described)):
        assert IN_CHINESE.search(said := told(text, "zh-CN")), text
        assert not IN_ENGLISH.search(COMMAND.sub("", said)), said


def test_a_refused_image_a_failed_check_and_a_changed_build_are_said_whole() -> None:
    short = "the file ends inside the qcow2 header (5 bytes); it is truncated [qcow2.short v1, byte 0]"
    kind = "the file is a RAR archive, not a disk image; unpack it and add the disk that is inside [file.other-kind v1, byte 0]"
    hint = "if it is a disk all the same, add it with accept_unrecognized"
    refused = str(UnsafeImage([short, kind], hint))
    assert told(refused, "zh-CN") == (
        "镜像被拒绝：文件在 qcow2 头部内就结束（5 字节）；文件不完整（规则 qcow2.short v1，第 0 字节）；"
        "文件是 RAR 归档，不是磁盘镜像；请解压后添加其中的磁盘（规则 file.other-kind v1，第 0 字节）；"
        "如果它确实是磁盘，请用 accept_unrecognized 添加"
    )
    some = str(SomeFailed("add images", {"a b": UnsafeImage([short])}, 1))
    assert "文件不完整（规则 qcow2.short v1，第 0 字节）；请修正文件或换一个" in told(some, "zh-CN")
    checks = (
        "not so: the bytes are of the declared format; declared_format is 'qcow2', detected_format is 'raw'",
        "not so: the file is not empty; size_bytes is 0; allowed: 1 and more",
    )
    assert told(str(QualityFailed("image 'a; b'", checks)), "zh-CN") == (
        "镜像 'a; b' 未通过 2 项质量检查：不符：内容与声明的格式一致；declared_format 为 'qcow2'，detected_format 为 'raw'；"
        "不符：文件不为空；size_bytes 为 0；允许：不小于 1 的值；请更正声明内容或文件后重新添加"
    )
    refused = str(PromotionRefused("i", "f", {"format": short, "quality": "; ".join(checks)}))
    assert "：格式：文件在 qcow2 头部内就结束" in told(refused, "zh-CN")
    assert not IN_ENGLISH.search(told(refused, "zh-CN"))


def test_what_a_promotion_changes_is_said_in_chinese() -> None:
    changes = (
        "since 12.5: 3 packages differ (1 new, 0 gone); kernel none → 6.1.0-9; files: 4 new, 0 gone, 9 changed; "
        "i: no installed system was found; btrfs can't be read here"
    )
    assert told(changes, "zh-CN") == (
        "自 12.5 以来：3 个软件包有差异（新增 1 个，移除 0 个）；内核 无 → 6.1.0-9；文件：新增 4 个，移除 0 个，更改 9 个；"
        "i：没有找到已安装的系统；此处无法读取 btrfs"
    )
