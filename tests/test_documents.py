"""What the documents name exists: links, files and folders, and names in modules."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from catalog.settings import OTHERS, Settings
from tests import architecture

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("catalog", "storage", "tasks", "flows", "console", "deployments", "tests", "docs")
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(found for room in ROOMS for found in (ROOT / room).rglob("*.md"))])
FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
DEFINITION = re.compile(r"\[`(\w+)`\]\(([^)\s]+\.py)\)")
LABEL = re.compile(r"`[^`\n]+`\]\(")
CODE = re.compile(r"`([^`\n]+)`")
FILE = re.compile(r"[\w./*-]+\.(?:py|pyi|md|yaml|toml|sh|js|css|html|svg|lock)")
FOLDER = re.compile(r"(?:[\w.-]+/)+")
PROGRAM = re.compile(r"python -m ([\w.]+)")
TARGET = re.compile(r"`make ([a-z-]+)")
TESTS_OWN = ("TEST_IMAGES",)
NAME = re.compile(r"[a-z_]\w*(?:\.\w+)+")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda found: str(found.relative_to(ROOT)))
def test_what_a_document_names_exists(document: Path) -> None:
    text = FENCED.sub("", document.read_text())
    looks = (broken_links, missing_files, missing_names, missing_definitions, missing_programs, missing_settings)
    broken = [found for look in looks for found in look(document, text)]
    assert not broken, f"{document.relative_to(ROOT)} names what is not there: {', '.join(broken)}"


def test_files_that_the_code_names_exist() -> None:
    missing = []
    for module in (found for room in ROOMS for found in (ROOT / room).rglob("*.py")):
        words = (word for word in words_in_code(module.read_text()) if re.fullmatch(r"[\w./]+\.(py|md)", word))
        places = (module.parent, module.parents[1], ROOT)
        missing += [f"{module}: {word}" for word in words if not any((place / word).exists() for place in places)]
    assert not missing


def test_the_pictures_show_the_imports_as_they_are() -> None:
    assert architecture.FILE.read_text() == architecture.written(), "`make docs` writes it anew"


def broken_links(document: Path, text: str) -> Iterator[str]:
    """Yield relative links to no file or to a heading that is not there."""
    for link in LINK.findall(text):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in headings(target)):
            yield link


def headings(document: Path) -> set[str]:
    """Return the anchors of a document's headings, spelled as GitHub does."""
    found = re.findall(r"^#+ (.+)$", FENCED.sub("", document.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


def words_in_code(text: str) -> Iterator[str]:
    """Yield what stands in backticks and is no label of a link, whose target is looked at instead."""
    for code in CODE.findall(LABEL.sub("](", text)):
        yield from (word.rstrip(":,;()") for word in code.split())


def missing_files(document: Path, text: str) -> Iterator[str]:
    """Yield files and folders that lie neither beside the document, nor in the root, nor beside the last one of their line.

    Of `file::test` the file has to have the test.
    """
    for line in text.splitlines():
        last = document.parent
        for word in words_in_code(line):
            path, _, test = word.partition("::")
            if not (FILE.fullmatch(path) or (FOLDER.fullmatch(path) and not path.startswith("/"))):
                continue
            found = [next(place.glob(path.rstrip("/")), None) for place in (document.parent, ROOT, last)]
            there = next(filter(None, found), None)
            if there is None or (test and test not in defined_in(there)):
                yield word
            else:
                last = there.parent


def missing_names(document: Path, text: str) -> Iterator[str]:
    """Yield `module.name` where the module is ours and defines no such name."""
    for word in words_in_code(text):
        if NAME.fullmatch(word) and not FILE.fullmatch(word) and not is_there(document, word.split(".")):
            yield word


def missing_definitions(document: Path, text: str) -> Iterator[str]:
    """Yield links from a function or class to a file that does not define it."""
    for name, path in DEFINITION.findall(text):
        module = document.parent / path
        if module.is_file() and name not in defined_in(module):
            yield f"{name} in {path}"


def missing_programs(_document: Path, text: str) -> Iterator[str]:
    """Yield modules that `python -m` is said to run, and targets of make, that are not there."""
    for module in PROGRAM.findall(text):
        path = ROOT / module.replace(".", "/")
        if path.parent.is_relative_to(ROOT) and path.parent != ROOT and not path.with_suffix(".py").is_file():
            yield module
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    yield from (f"make {target}" for target in TARGET.findall(text) if target not in targets)


def missing_settings(_document: Path, text: str) -> Iterator[str]:
    """Yield variables of the environment that set nothing, neither of the product nor of its tests."""
    for name in re.findall(r"IMAGEWRIGHT_(\w+)", text):
        if name.lower() not in Settings.model_fields and name not in (*OTHERS, *TESTS_OWN):
            yield f"IMAGEWRIGHT_{name}"


def is_there(document: Path, parts: list[str]) -> bool:
    for folder in (document.parent, ROOT):
        for length in range(len(parts) - 1, 0, -1):
            module = folder.joinpath(*parts[:length]).with_suffix(".py")
            if module.is_file():
                return parts[length] in defined_in(module)
    return True


@cache
def defined_in(module: Path) -> frozenset[str]:
    """Return the names that a module defines or imports at its top."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.alias):
            found.add(node.asname or node.name)
    return frozenset(found)
