"""Every text of a plan has its wording in Chinese: found in the source of all operations, none lacks one and none is left over."""

import ast
import re
from collections.abc import Mapping, Sequence
from functools import cache

import pytest

from console.look.sentences import VALUE as PLACE
from console.look.sentences import rows_of, sentences_of
from flows.requests.catalogue import OPERATIONS_OF
from tests.console.look.parsed import Module
from tests.console.look.said_in_source import VALUE, Source, whole_source

pytestmark = pytest.mark.xdist_group("the whole source")  # parsing it takes 3 s of a process, which keeps it

FIELDS: Mapping[str, Sequence[str]] = {
    "Plan": ("summary", "operation"), "Action": ("verb", "reason"), "Drift": ("verb", "reason"), "Drop": ("reason",),
    "ItemOutcome": ("reason",), "Broken": ("damage", "cure"), "Held": ("damage",), "Deletion": ("operation",), "Evidence": ("sentence",),
}  # fmt: skip
"""Records whose texts plans are made of, and what is shown of the same: what an item of a clean-up, a gate or a difference says."""
WHOLE = (
    "catalog/rules/promotion/life_cycle.py", "catalog/rules/promotion/kinship.py", "catalog/rules/storages/drift.py",
    "storage/ceph/upkeep/reclaim.py", "tasks/promotion/recall.py", "tasks/replicas/leftovers.py",
)  # fmt: skip
"""Modules whose functions return reasons: every sentence in them counts."""
MADE_ELSEWHERE = re.compile(
    r"((\w+\.)+(verb|reason|summary|operation|outcome|sentence|damage|cure|error)( or )?)+('.+')?|str\((error|found)\)"
)
"""A text of one of the records above is found where it is made, that of an error in `test_error_wordings.py`."""
LEFT: Mapping[str, str] = {
    "catalog/repository/change.py: reason": "what `tried` is given: the sentence of an error",
    "catalog/rules/promotion/gates.py: sentence": "what `_of` is given; of findings and failed checks what they say",
    "catalog/rules/storages/drift.py: reason": "of another function of the module, all of which are looked at",
    "catalog/rules/upkeep/deferred.py: reason": "the sentence of an error",
    "flows/images/expunge.py: '; '.join((plan.summary for plan in plans)) or 'nothing is due'": "summaries of other plans",
    "flows/promotion/check.py: watch.url": "an address",
    "storage/ceph/upkeep/reclaim.py: reason": "of another function of the module, all of which are looked at",
    "storage/imagestore/upkeep/reclaim.py: reason": "one of three that stand in BESIDES",
    "storage/imagestore/upkeep/verify.py: lost[digest]": "the sentence of an error",
    "tasks/hosts/on_its_host.py: why": "the one that stands in BESIDES, or the sentence of an error",
    "tasks/images/delete_export.py: e.path": "a path",
    "tasks/images/expunge.py: b.location": "a path or the name of an object",
    "tasks/promotion/promote.py: changes": "what a comparison came to, kept with a promotion: in no plan, see `test_finding_wordings.py`",
    "tasks/promotion/recall.py: told": "of another function of the module, all of which are looked at",
    "tasks/replicas/leftovers.py: reason": "of another function of the module, all of which are looked at",
    "tasks/replicas/move.py: sentence": "of an outcome that no plan and no page shows",
    "tasks/replicas/repair.py: sentence": "of an outcome that no plan and no page shows",
    "tasks/replicas/verify.py: reason": "of an outcome that no plan and no page shows",
    "tasks/storages/inventory.py: damage": "the sentence of an error",
    "tasks/storages/reconcile.py: said or drift.reason": "of an outcome that no plan and no page shows",
    "tasks/upkeep/retry_deferred.py: reason": "the sentence of an error",
    "tasks/volumes/volume.py: volume.location": "a path or the name of an object",
    "tasks/webhooks/deliver.py: reason": "of an outcome that no plan and no page shows",
}
"""What can't be followed in the source, and why nothing is lost by it."""
NOT_SHOWN = {
    "%s is kept: %s", "already recalled", "family:{}@{}", "image:{}", "leftover:{}", "{} ({} on {})", "{} ({})", "{} on {}", "{}@{}",
    "an image that is there; one that is arriving can be deleted", "list leftovers", "listing the pool", "looking at what is left",
}  # fmt: skip
"""What stands in the modules above and is no text of a plan: subjects, what is logged, what an error says."""
BESIDES = {
    "clone", "overlay",  # kinds of volumes
    "already there",  # what a sync leaves
    "it does its own part; its plan is asked for with host {}",
    "its needed chips move to another pack", "no index and no landing names it", "none of its chips is needed", "not read: {}",
}  # fmt: skip
"""Texts of plans that stand where they can't be found."""


SUBJECTS = {"gate": "digest"}
"""Kinds of subjects of which there are only these."""


@cache
def found() -> tuple[Mapping[str, str], set[str]]:
    """Return the texts of plans with where each stands, and what can't be followed."""
    source = whole_source()
    texts: dict[str, str] = {}
    left: set[str] = set()
    for node, scope in source.given(FIELDS):
        if scope.module.path.startswith("console/"):
            continue
        said = source.texts(node, scope)
        texts |= dict.fromkeys(said - {VALUE, ""}, scope.module.path)
        if VALUE in said and not MADE_ELSEWHERE.fullmatch(ast.unparse(node)):
            left.add(f"{scope.module.path}: {ast.unparse(node)}")
    texts |= {text: path for path in WHOLE for text in source.sentences(path) - {VALUE}}
    return {text: path for text, path in texts.items() if text not in NOT_SHOWN}, left


def test_every_text_of_a_plan_has_a_wording_and_none_is_left_over() -> None:
    texts, _ = found()
    known = {PLACE.sub(VALUE, english) for english in rows_of("verb", "text")}
    assert {text: path for text, path in texts.items() if text not in known} == {}
    assert sorted(known - texts.keys() - BESIDES) == []


def test_every_kind_of_subject_has_a_name() -> None:
    written = {
        text
        for node, scope in whole_source().given({"Action": ("subject",)})
        for text in whole_source().texts(node, scope)
    }
    kinds = {text.partition(":")[0] for text in written if text.partition(":")[2]} | OPERATIONS_OF.keys()
    known = sentences_of("subject")
    assert sorted(kind for kind in kinds - {VALUE} if known.said(f"{kind}:{SUBJECTS.get(kind, 'x')}") is None) == []


def test_what_cant_be_followed_is_known() -> None:
    assert found()[1] == set(LEFT)


@pytest.mark.parametrize(
    ("body", "texts"),
    [
        ('return Plan(summary="all go")', {"all go"}),
        (
            'said = f"{n} go"\n    said += "; at once" if n else ""\n    return Plan(summary=said)',
            {"{} go", "{} go; at once"},
        ),
        ('return Action(verb={"a": "keep", "b": "let go"}[n], subject="image:a")', {"keep", "let go"}),
        ('return Action(verb="keep", reason=_why(n))', {"keep", "why {}", "it is old"}),
        ('return _made("they " + f"go {n} times")', {"they go {} times"}),
        ('return Plan(summary="; ".join(f"{one} goes" for one in n))', {"{} goes"}),
        ("return Plan(summary=n.told)", {"{}"}),
    ],
)
def test_what_a_plan_is_given_is_followed(body: str, texts: set[str]) -> None:
    helpers = (
        'def _why(n):\n    return f"why {n}" if n else "it is old"\n\ndef _made(told):\n    return Plan(summary=told)\n'
    )
    module = Module("new.py", ast.parse(f"{helpers}\ndef plan(n):\n    {body}\n"))
    source = Source([module])
    given = [source.texts(node, scope) for node, scope in source.given(FIELDS)]
    assert texts <= set().union(*given)
