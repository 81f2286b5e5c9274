"""Roles: who may do what, for whom, and what a token's scope leaves of it."""

import re
from datetime import UTC, datetime
from fnmatch import translate
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.errors import InvalidRequest, NotAllowed, OtherAccount
from catalog.records import Identity, Role, Scope, SignedIn, Verb
from catalog.rules.accounts.roles import (
    ROLES,
    VERBS,
    acting_account,
    fits,
    in_scope,
    may,
    require,
    require_tokens_of,
    role_left,
    roles_up_to,
    scope_of,
    sees_as,
    verb_of,
)  # fmt: skip
from catalog.rules.accounts.sign_in import check_name, counted
from flows.registry import OPERATIONS, Rights

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def one(role: Role, account: str = "team", **scope: object) -> SignedIn:
    identity = Identity(name="a", account=account, role=role, created_at=NOW, updated_at=NOW)
    return SignedIn(identity=identity, scope=Scope.model_validate(scope), proof="session:1")


ALLOWED: dict[Role, set[Verb]] = {
    "viewer": {"read"},
    "user": {"read", "use", "add", "change"},
    "admin": {"read", "use", "add", "change", "administer"},
}


@pytest.mark.parametrize("role", get_args(Role))
@pytest.mark.parametrize("verb", get_args(Verb))
def test_the_table(role: Role, verb: Verb) -> None:
    assert may(one(role), verb) == (verb in ALLOWED[role])
    if verb not in ALLOWED[role]:
        with pytest.raises(NotAllowed, match="is needed"):
            require(one(role), verb, "do it")


def test_all_rights_of_operations_are_somebodys() -> None:
    assert set(VERBS) == set(get_args(Rights))
    assert {verb_of(row.rights) for row in OPERATIONS.values()} <= set(ROLES["admin"])
    assert verb_of("whoever comes") == "administer"  # what nobody described is not open to all


def test_a_scope_only_takes_away() -> None:
    assert may(one("user", verbs=("read",)), "read")
    assert not may(one("user", verbs=("read",)), "change")
    assert not may(one("viewer", verbs=("change",)), "change")
    assert not may(one("admin", images=("web-*",)), "administer")  # it could make itself another token
    assert may(one("admin", images=("web-*",)), "change")


def test_accounts_that_act() -> None:
    assert acting_account(one("user"), "anybody", None) == "team"
    assert acting_account(one("user"), "anybody", "team") == "team"
    for other in ("admin", "other", ""):
        with pytest.raises(OtherAccount):
            acting_account(one("user"), "anybody", other)
    assert acting_account(one("admin"), "anybody", None) == "team"
    assert acting_account(one("admin"), "owner, admin", None) == "admin"
    assert acting_account(one("admin"), "anybody", "other") == "other"
    assert (sees_as(one("admin")), sees_as(one("user"))) == ("admin", "team")


def test_images_in_a_scope() -> None:
    scope = Scope(images=("web-*",), families=("debian",))
    found = [in_scope(scope, *image) for image in (("web-1", None), ("db", "debian"), ("db", None), ("xweb-1", "deb"))]
    assert found == [True, True, False, False]
    assert in_scope(Scope(), "anything", None)


@given(st.text("ab*?", max_size=8), st.text("ab", max_size=8))
def test_patterns_match_as_elsewhere(pattern: str, name: str) -> None:
    assert fits(pattern, name) == bool(re.fullmatch(translate(pattern), name))


def test_no_pattern_takes_long() -> None:
    assert not fits("*a" * 60 + "b", "a" * 2000)
    assert not fits("[a]", "a")  # no other signs


@pytest.mark.parametrize("name", ["alice", "a.b_c@d+e-f", "0"])
def test_names(name: str) -> None:
    assert check_name(name) == name


def test_what_is_counted_names_nobody() -> None:
    told = counted("my password", "192.0.2.1")
    assert set(told) == {"both", "address", "name"}
    assert "my password" not in str(told)


@pytest.mark.parametrize("of", get_args(Role))
@pytest.mark.parametrize("role", get_args(Role))
def test_a_token_has_a_role_up_to_its_owners_and_keeps_it(role: Role, of: Role) -> None:
    if role not in roles_up_to(of):
        with pytest.raises(InvalidRequest, match=", ".join(roles_up_to(of))):
            scope_of(role, of)
        return
    scope = scope_of(role, of)
    assert role_left(of, scope) == role
    for later in get_args(Role):  # its owner's role may be raised, or not be what it was
        assert {verb for verb in get_args(Verb) if may(one(later, verbs=scope.verbs), verb)} == ALLOWED[role] & ALLOWED[
            later
        ]


def test_what_a_scope_leaves_of_a_role() -> None:
    assert role_left("user", Scope()) == "user"
    assert role_left("admin", Scope(images=("ci-*",))) == "user"  # it never administers
    assert role_left("user", Scope(verbs=("read", "use"))) is None


def test_a_token_makes_no_token_and_nobody_one_of_others() -> None:
    by_token = one("user").model_copy(update={"proof": "token:1"})
    require_tokens_of(one("viewer"), "a")
    require_tokens_of(one("admin"), "b")
    for who, identity in ((by_token, "a"), (by_token, "b"), (one("user"), "b"), (one("admin", images=["x"]), "b")):
        with pytest.raises(NotAllowed):
            require_tokens_of(who, identity)
