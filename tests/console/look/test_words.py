"""Whatever pages and scripts say is said in English and in Chinese: no sentence lacks a wording, none is left over."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

import console
from catalog.log import events
from catalog.records import Image, ImageStatus
from catalog.records.identities import IdentityKind, Role
from catalog.rules.images.operating_systems import UEFI_TABLE
from catalog.rules.promotion.gates import GATES
from console.look.language import ONE, Said, Words, chinese
from console.look.preferences import THEMES
from console.look.templates import happened
from console.pages.access.forms import FORMS
from console.pages.details import APART
from console.pages.families.builds import LEFT
from console.pages.forms import fields_of
from console.pages.pages import STATES, TITLES
from console.pages.tabs import ARCHITECTURES, DEPRECATED, FORMATS, KINDS, TABS
from flows.registry import OPERATIONS
from tasks.promotion.promote import CHANGES

ROOM = Path(console.__file__).parent
IN_TEMPLATES = re.compile(r"""\bt\(\s*(?:"([^"]+)"|'([^']+)')""")
IN_SCRIPTS = re.compile(r"""\bt\(\s*(?:"((?:[^"\\]|\\.)+)"|`([^`$]+)`)""")
PLAIN = {*FORMATS, *ARCHITECTURES, "cloud-init", "qcow2", "MD5", "UEFI"}
"""What is called so in every language."""
IN_PYTHON = {
    "the file that was added", "as stored", "yes", "no", "error", "warning", "info", "Pending", "Running", "Paused", "Cancelling",
    "System", "Boot mode", "Architecture", "VirtIO drivers", "Disk driver", "Network driver", "Guest agent", "Partition table",
    "File systems", "Boot loaders", "being measured", "no bounds", "Name", "Landing", "Damaged", "Deleting", "ISO",
    "Completed", "Scheduled", "Crashed", "Cancelled", "Late", "up to", "waits", "refused",
    "it passed every gate and was not promoted yet", LEFT, *GATES, CHANGES,
    "revoked", "expired", "Images", "Logical bytes", "Stored bytes", "BIOS boot", "EFI system",
}  # fmt: skip
"""What Python says besides what is collected below."""


LOGGED = ("image", "replica", "export", "leftover", "volume", "family", "image storage", "primary storage")
"""Things whose entries in the log are told as what happened, where no event names it."""


def in_templates() -> Iterator[str]:
    for file in (ROOM / "templates").rglob("*.html"):
        for found in IN_TEMPLATES.finditer(file.read_text()):
            yield found[1] or found[2]


def in_scripts() -> Iterator[str]:
    for file in (ROOM / "static").glob("*.js"):
        if "words" not in file.name:
            for found in IN_SCRIPTS.finditer(file.read_text()):
                yield (found[1] or found[2]).replace('\\"', '"')


def in_rows() -> Iterator[str]:
    for tab in TABS.values():
        yield from (tab.title, tab.group, tab.empty, *tab.columns)
    yield from (*STATES, *TITLES.values(), *KINDS, *(status.value for status in ImageStatus), *filter(None, DEPRECATED))
    yield from (row.title for row in OPERATIONS.values())
    yield from (name for _, name in THEMES.values())
    yield from (*get_args(Role), *get_args(IdentityKind))
    yield from (happened(kind) for name, kind in vars(events).items() if name.isupper() and isinstance(kind, str))
    yield from in_forms()
    yield from (said for _, mode, versions in UEFI_TABLE for said in (mode, versions))
    yield from (f"{thing} {what}" for thing in LOGGED for what in ("added", "changed", "deleted"))
    yield from (name.removesuffix("_bytes").replace("_", " ") for name in Image.model_fields if name not in APART)


def in_forms() -> Iterator[str]:
    for form in FORMS.values():
        yield from (form.title, (form.model.__doc__ or "").partition("\n")[0])
        yield from (said for field in fields_of(form.model, {}) for said in (field.title, field.description))
    for row in OPERATIONS.values():
        if row.buttons or row.transition:
            yield (row.request.__doc__ or "").partition("\n")[0]
            yield from (said for field in fields_of(row.request, {}) for said in (field.title, field.description))


def patterns() -> Iterator[str]:
    """Yield what sentences of values are made of, and what is to be done about what failed."""
    for file in ROOM.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if (
                isinstance(node, ast.Call)
                and getattr(node.func, "id", "") == "Said"
                and isinstance(node.args[0], ast.Constant)
            ):
                yield str(node.args[0].value)
            if (
                isinstance(node, ast.Call)
                and getattr(node.func, "id", "") == "Concern"
                and isinstance(node.args[1], ast.Constant)
            ):
                yield str(node.args[1].value)
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "ADVICE":
                yield from (str(t.value) for v in node.value.values for t in v.elts[:2])  # type: ignore[attr-defined]


def needed() -> set[str]:
    return {*in_templates(), *in_scripts(), *in_rows(), *patterns(), *IN_PYTHON, ""} - PLAIN - {""}


def test_every_sentence_has_a_wording_in_chinese_and_none_is_left_over() -> None:
    assert sorted(needed() - chinese().keys()) == []
    assert sorted(chinese().keys() - needed()) == []


def test_a_wording_says_the_same_values() -> None:
    for english, other in chinese().items():
        assert sorted(re.findall(r"\{\w+\}", english)) == sorted(re.findall(r"\{\w+\}", other)), english


def test_what_is_made_of_values_is_said_in_both_languages() -> None:
    said = Said("{used} of {total}, room for {free}", used="1 GiB", total="4 GiB", free="3 GiB")
    assert Words("en")(said) == said == "1 GiB of 4 GiB, room for 3 GiB"
    assert all(part in Words("zh-CN")(said) for part in ("1 GiB", "4 GiB", "3 GiB"))
    assert Words("zh-CN")(said) != said
    assert Words("zh-CN")("debian-12") == "debian-12"


@pytest.mark.parametrize("pattern", ONE)
def test_one_is_said_in_the_singular_and_both_have_the_same_values(pattern: str) -> None:
    values = dict.fromkeys(re.findall(r"{(\w+)}", pattern), "x") | {"count": 1}
    assert set(re.findall(r"{(\w+)}", ONE[pattern])) == set(values)
    english, chinese_words = Words("en"), Words("zh-CN")
    for count, wanted in ((1, ONE[pattern]), (2, pattern)):
        said = values | {"count": count}
        assert (
            english(pattern, **said) == english(Said(pattern, **said)) == Said(pattern, **said) == wanted.format(**said)
        )
        assert (
            chinese_words(pattern, **said) == chinese_words(Said(pattern, **said)) == chinese()[pattern].format(**said)
        )
