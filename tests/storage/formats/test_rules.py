"""The set of rules has one version, and changing a rule without raising it is noticed."""

import hashlib
import importlib
import pkgutil

import storage.formats
from storage.formats.rules import RULE_SET, Rule

FINGERPRINTS = {"2026.11": "85a57567177d287f", "2026.12": "b59e852d0326ddc5"}
"""By version of the rule set. When this test fails because a rule changed: raise RULE_SET and add a line here."""


def all_rules() -> list[Rule]:
    modules = (
        importlib.import_module(m.name)
        for m in pkgutil.walk_packages(storage.formats.__path__, "storage.formats.")
        if not m.ispkg
    )
    return sorted({v for module in modules for v in vars(module).values() if isinstance(v, Rule)}, key=lambda r: r.id)


def fingerprint() -> str:
    text = "\n".join(f"{r.id} {r.version} {r.severity}" for r in all_rules())
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def test_each_rule_has_an_id_of_its_own() -> None:
    ids = [rule.id for rule in all_rules()]
    assert len(ids) == len(set(ids))
    assert len(ids) >= 50


def test_the_version_of_the_set_changes_with_its_rules() -> None:
    assert FINGERPRINTS[RULE_SET] == fingerprint()
