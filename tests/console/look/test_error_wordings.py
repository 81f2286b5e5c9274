"""Sentences of errors have their wording in Chinese: what is not translated yet is named here with the reason, and the lists only shrink."""

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import product

import pytest

from catalog import errors
from console.look.sentences import rows_of, sentences_of, template
from console.look.telling import SENTENCES
from flows.requests.sentences import ALLOWED
from tests.console.look.parsed import Scope
from tests.console.look.said_in_source import VALUE, whole_source

pytestmark = pytest.mark.xdist_group("the whole source")  # parsing it takes 3 s of a process, which keeps it

ELSEWHERE = ("flows/client", "flows/command", "flows/server")
"""What no page of the console shows."""
RETURNED = (
    ("tasks/runtime/runs/waiting.py", "sentence_of"), ("catalog/rules/storages/hosts.py", "away"), ("tasks/upkeep/overdue.py", "sentence"),
)  # fmt: skip
"""Functions that say why a run waits, and that none is recovered."""
OF_KINDS = (f"no {VALUE} ", f"{VALUE} {VALUE} lies on host ")
"""How sentences begin that name the kind of a thing."""
COMMAND = re.compile(r"`[^`]*`|\b(imagewright|python) [a-z -]+")
IN_ENGLISH = re.compile(r"[a-z]+(?: [a-z]+){2,}")
"""What a sentence in Chinese has none of, besides what is to be typed."""
SHOWN = ("catalog/errors/", "console/")
"""Where the classes of errors stand that a page may show."""
REASONS: Mapping[str, Sequence[int]] = {
    "CapacityExceeded": (0,), "CatalogUnavailable": (1,), "HostAway": (1, 2), "InvalidRequest": (2,), "LineageNotProven": (0,),
    "NotAllowed": (1, 2), "NotSignedIn": (0,), "ProviderUnavailable": (1,), "ServerUnavailable": (0,), "SignInRefused": (0, 1),
    "SourceForbidden": (1,), "SourceNotFound": (1,), "StorageRefused": (1,), "StorageUnavailable": (1,),
    "TransferInterrupted": (2,), "UnsafeImage": (1,), "IllegalTransition": (1, 2),
    "AccessDenied": (1,), "ConversionFailed": (2,), "LogDamaged": (1,), "RecordNotLogged": (1,), "RecordUnreadable": (1,), "SomeFailed": (0,),
    "SourceChanged": (1, 2), "DigestMismatch": (0, 1, 2), "ImageBusy": (1,), "ObjectMissing": (0,), "ProgramFailed": (1,), "ReplicaInUse": (0, 2),
}  # fmt: skip
"""Errors whose reasons are said in Chinese as well → which arguments are texts."""
VALUES = ("DigestMismatch", "ImageBusy", "ObjectMissing", "ProgramFailed", "ReplicaInUse")
"""Of those, the ones that are given names and digests as well: what has no blank in it is a value."""
FILLED: Mapping[str, str] = {
    "ImageNotFound": "no image 7 {1}: it does not exist or is not visible to this account; `imagewright images` lists what there is",
    "MissingProgram": "{0} is not installed on this worker; install {1}",
}
"""Errors whose reasons are names within a sentence → that sentence, with the arguments by their place."""
LEFT_OUT: Mapping[str, str] = {
    "ChecksumMismatch": "values: algorithms with their digests",
    "QualityFailed": "the name of the image; what the checks say is in `test_finding_wordings.py`",
}
"""Errors whose sentence is said in Chinese, but the reason within it as it is → why."""
TEXTS_LEFT_OUT: Mapping[str, str] = {
    "a file's name with {version}, {arch} and * in it, folders before it with /: at most {} characters, {} names, and in each {} times {version} and once *": (
        "it has braces of its own"
    ),
    'a secret that is a token of the other site, or {"token": "iw_…"}': "it has braces of its own",
    "a watch of kind {} needs one, such as os-{version}-{arch}.qcow2": "it has braces of its own",
    **dict.fromkeys(
        (" ({})", " (the store)", "{} ({})", "{} (the store)"), "what another program said, with the place"
    ),
    "{} {}; try again later": "each pair of what and why has a row of its own, in PAIRS",
    **dict.fromkeys((":memory:", "read", "retry"), "the name of a database, verbs of tokens"),
}
"""Reasons of the errors above that are said in English → why."""
BESIDES = {
    "Creating", "Deleted", "Downloading", "Enabled", "Error", "Migrating", "Ready", "converted to raw", "in the recycle bin", "not protected",
    "at most {most:d} bytes of JSON, and this has {size:d}; ask in several requests",
    "correct the file or take another", "exports at {path}", "no token that is known here was given", "request: it is no JSON",
    "the Prefect server did not take it yet; it is added as soon as it does",
    "an open reader", "its snapshots, clones or a deletion under way",
    "image on {storage} is being worked on by another worker; wait for it or cancel it",
    "image {name} failed 1 quality check: {why:said}; correct what was declared, or the file, and add it again",
    "image {name} failed {count:d} quality checks: {why:said}; correct what was declared, or the file, and add it again",
    "All states completed.", "Delete {count:d} leftovers for good?",
    "- image {name}: {location} on {storage}, {bytes:d} bytes; it moved to {target}",
    "the add was interrupted; add again with image_id {image} to go on from what was kept",
    "the catalog at {address} is unavailable: {why:said}; check its database and try again",
    "the disk refuses it", "{parameter}: it is missing, and has to be given",
    "{url} broke off at byte {offset:d}: {why:said}; trying again goes on from there",
    "{why:said}; what was sent is kept: announce it, among the uploads, as what it is, or discard it",
}  # fmt: skip
"""Rows that no text of the source is found for: what other libraries say, and words of the catalog within sentences."""


def sentences() -> Iterator[str]:
    """Yield what the classes of errors say, each kind of what may not be found by its name."""
    for call, scope in whole_source().calls["__init__"]:
        if call.args and scope.module.path.startswith(SHOWN):
            yield from whole_source().texts(call.args[-1], scope)
    for module in whole_source().modules:
        for node in ast.walk(module.tree) if module.path.startswith(SHOWN) else ():
            if (
                isinstance(node, ast.Assign)
                and ast.unparse(node.targets[0]) == "self.args"
                and isinstance(node.value, ast.Tuple)
            ):
                yield from whole_source().texts(node.value.elts[0], Scope(module, module.inside[id(node)]))


def reasons() -> Iterator[str]:
    for name, places in REASONS.items():
        for call, scope in whole_source().calls.get(name, ()):
            for place in places:
                if place < len(call.args) and not scope.module.path.startswith(ELSEWHERE):
                    texts = _texts(call.args[place], scope)
                    yield from (text for text in texts if name not in VALUES or " " in text)


def _texts(node: ast.expr, scope: Scope) -> set[str]:
    """Return the templates of an argument, of a list those of each part."""
    parts = node.elts if isinstance(node, ast.List | ast.Tuple) else [node]
    return set().union(*(whole_source().texts(part, scope) for part in parts))


def filled() -> Iterator[str]:
    """Yield sentences of errors around the names that they are given."""
    for name, sentence in FILLED.items():
        for call, scope in whole_source().calls[name]:
            if len(call.args) > 1 and not scope.module.path.startswith(ELSEWHERE):
                named = [{VALUE} if isinstance(one, ast.Name) else _texts(one, scope) for one in call.args[:2]]
                yield from (sentence.format(*given) for given in product(*named))


def answers() -> Iterator[str]:
    """Yield what the console itself refuses with."""
    for call, scope in whole_source().calls["JSONResponse"]:
        if (
            scope.module.path.startswith("console/")
            and "api/v1" not in scope.module.path
            and isinstance(call.args[0], ast.Dict)
        ):
            for key, value in zip(call.args[0].keys, call.args[0].values, strict=True):
                if isinstance(key, ast.Constant) and key.value == "error":
                    yield from whole_source().texts(value, scope)
    for call, scope in whole_source().calls["_refused"]:
        yield from whole_source().texts(call.args[1], scope) if scope.module.path == "console/security.py" else ()
    for call, scope in whole_source().calls["LookupError"]:
        if scope.module.path == "console/runs.py":
            yield from whole_source().texts(call.args[0], scope)


def states() -> Iterator[str]:
    """Yield what states of runs say: why one ended, for what it waits, what it asks."""
    for name in ("AwaitingRetry", "Cancelled", "Cancelling", "Crashed", "Failed"):
        for call, scope in whole_source().calls.get(name, ()):
            for keyword in call.keywords:
                if keyword.arg == "message":
                    yield from whole_source().texts(keyword.value, scope)
    for call, scope in whole_source().calls["put_off"]:
        if scope.module.path.startswith(("tasks/hosts", "tasks/runtime")):
            yield from whole_source().texts(call.args[3], scope)
    for path, name in RETURNED:
        yield from whole_source().returned(path, name)


def kinds(text: str) -> set[str]:
    """Return what may be the thing that a sentence says there is none of: of storages those that there are are named."""
    known = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.NotFound)]
    listed = [kind for kind in known if issubclass(kind, errors.StorageNotFound)]
    plain = [kind for kind in known if kind in listed or "__init__" not in vars(kind)]
    return {kind.kind for kind in (plain if "visible" in text else listed)}


PAIRS = {
    f"{what} {why}; try again later"
    for what in ("the plan", "the check of the storages", "the catalog", "the run")
    for why in (
        "did not end within 7 s",
        "waits for others, as 7 more do",
        "is waited for by too many requests at once",
    )
}
"""What `TookTooLong` says."""


@cache
def wanted() -> frozenset[str]:
    """Return all texts, a value in each place of one."""
    found = {
        text
        for text in (*sentences(), *reasons(), *filled(), *answers(), *states(), *ALLOWED.values())
        if text.strip("{} ;:")
    }
    found -= TEXTS_LEFT_OUT.keys()
    of_kinds = {text for text in found if text.startswith(OF_KINDS)}
    named = {text.replace(VALUE, kind, 1) for text in of_kinds for kind in kinds(text)}
    return frozenset(re.sub(r"\{\w*\}", "7", text) for text in (*(found - of_kinds), *named))


def test_every_sentence_of_an_error_is_said_in_chinese() -> None:
    known = sentences_of(*SENTENCES)
    said = {text: known.said(text) for text in wanted() | PAIRS}
    assert sorted(text for text, chinese in said.items() if chinese is None) == []
    plain = {text: IN_ENGLISH.search(COMMAND.sub("", chinese or "")) for text, chinese in said.items()}
    assert {text: said[text] for text, english in plain.items() if english} == {}


def test_no_wording_is_left_over() -> None:
    texts = wanted() | PAIRS
    rows = [(english, template(english, "")) for english in rows_of("errors")]
    used = {english for english, row in rows if any(row.found_in(text) is not None for text in texts)}
    assert sorted(rows_of("errors").keys() - used - BESIDES) == []
    assert sorted(BESIDES & used) == []


def test_what_is_said_in_english_is_listed_and_the_list_only_shrinks() -> None:
    raised = {name for name in vars(errors) if name not in {*REASONS, *FILLED} and any(_texts_of(name))}
    assert sorted(raised) == sorted(LEFT_OUT)
    found = {*sentences(), *reasons(), *answers()}
    assert sorted(TEXTS_LEFT_OUT.keys() - found) == []


def _texts_of(name: str) -> Iterator[str]:
    """Yield what is written where an error is raised: a sentence, not a name."""
    for call, _ in whole_source().calls.get(name, ()):
        for value in (*call.args, *(keyword.value for keyword in call.keywords)):
            if isinstance(value, ast.JoinedStr) or (isinstance(value, ast.Constant) and " " in str(value.value)):
                yield ast.unparse(value)
