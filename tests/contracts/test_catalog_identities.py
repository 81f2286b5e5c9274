"""Persons, robots, tokens and sessions, on every catalog; and what whoever guesses learns: nothing."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from catalog import errors
from catalog.log import events
from catalog.records import Account, NewToken, Scope, SignedIn
from catalog.repository.catalog import Catalog
from catalog.repository.identities import proofs, registering
from catalog.repository.identities.sign_in import require_password, sign_in, sign_out, signed_in
from catalog.rules.accounts.sign_in import MOST, WINDOW
from tests.catalog.samples import START, Ticking, an_image, saved

pytestmark = pytest.mark.usefixtures("cheap_passwords")
PASSWORD = "correct horse 7"
HERE = "192.0.2.1"
LONG = "x" * 5000


@pytest.fixture
def alice(catalog: Catalog) -> str:
    registering.add(catalog, "admin", "alice", "team", role="user", password=PASSWORD)
    return "alice"


def token_of(catalog: Catalog, identity: str, **fields: object) -> NewToken:
    given: dict[str, object] = {"scope": Scope(), "expires_at": None} | fields
    return registering.create_token(catalog, "admin", "root", identity, **given)  # type: ignore[arg-type]


def entered(catalog: Catalog, name: str = "alice", password: str = PASSWORD, address: str = HERE) -> str:
    return sign_in(catalog, name, password, address, hours=1).token


def test_a_person_signs_in_and_is_known_until_the_session_ends(catalog: Catalog, alice: str, clock: Ticking) -> None:
    token = entered(catalog)
    who = signed_in(catalog, token)
    assert (who.identity.name, who.identity.account, who.proof.partition(":")[0]) == (alice, "team", "session")
    clock.now += timedelta(hours=1)
    with pytest.raises(errors.NotSignedIn, match="this session has expired"):
        signed_in(catalog, token)
    entered(catalog)  # sweeps what has expired
    with pytest.raises(errors.NotSignedIn, match="no token that is known here"):
        signed_in(catalog, token)


def test_who_signs_out_is_not_known_any_more(catalog: Catalog, alice: str) -> None:
    token, other = entered(catalog), entered(catalog)
    sign_out(catalog, signed_in(catalog, token))
    with pytest.raises(errors.NotSignedIn):
        signed_in(catalog, token)
    assert signed_in(catalog, other).identity.name == alice


@pytest.mark.parametrize(
    ("name", "password"),
    [("alice", "wrong"), ("alice", ""), ("nobody", PASSWORD), ("robot", PASSWORD), ("gone", PASSWORD), ("alice", LONG),
     ("\ud800", "\udfff"), ("alice", PASSWORD.upper())],
    ids=range(8),
)  # fmt: skip
def test_whoever_may_not_come_in_hears_the_same_words(catalog: Catalog, alice: str, name: str, password: str) -> None:
    registering.add(catalog, "admin", "robot", "team", role="user")
    registering.add(catalog, "admin", "gone", "team", role="user", password=PASSWORD)
    registering.change(catalog, "admin", "gone", {"disabled": True})
    with pytest.raises(errors.SignInFailed) as caught:
        entered(catalog, name, password)
    assert str(caught.value) == str(errors.SignInFailed())
    assert signed_in(catalog, entered(catalog)).identity.name == alice


def test_a_disabled_person_is_out_at_once_with_sessions_and_tokens(catalog: Catalog, alice: str) -> None:
    session, token = entered(catalog), token_of(catalog, alice).token
    registering.change(catalog, "admin", alice, {"disabled": True})
    with pytest.raises(errors.NotSignedIn):
        signed_in(catalog, session)
    with pytest.raises(errors.NotSignedIn, match="disabled"):
        signed_in(catalog, token)
    registering.change(catalog, "admin", alice, {"disabled": False})
    assert signed_in(catalog, token).identity.name == alice
    with pytest.raises(errors.NotSignedIn):  # it ended, and stays so
        signed_in(catalog, session)


def test_a_new_password_ends_all_sessions_and_the_old_one_is_good_for_nothing(catalog: Catalog, alice: str) -> None:
    session = entered(catalog)
    registering.change(catalog, "admin", alice, {}, "another horse 8")
    with pytest.raises(errors.NotSignedIn):
        signed_in(catalog, session)
    with pytest.raises(errors.SignInFailed):
        entered(catalog)
    require_password(catalog, alice, "another horse 8")
    with pytest.raises(errors.SignInFailed):
        require_password(catalog, alice, PASSWORD)


def test_a_token_is_shown_once_expires_and_is_revoked(catalog: Catalog, alice: str, clock: Ticking) -> None:
    until = clock.now + timedelta(hours=1)
    made = token_of(catalog, alice, scope=Scope(verbs=("read",), images=("web-*",)), expires_at=until)
    assert made.token.startswith("iw_")
    assert "token" not in catalog.token(made.id).model_dump()
    who = signed_in(catalog, made.token)
    assert (who.scope, who.expires_at, who.proof) == (made.scope, until, f"token:{made.id}")
    clock.now = until
    with pytest.raises(errors.NotSignedIn, match="this token has expired"):
        signed_in(catalog, made.token)
    other = token_of(catalog, alice)
    registering.revoke_token(catalog, "admin", other.id)
    registering.revoke_token(catalog, "admin", other.id)
    with pytest.raises(errors.NotSignedIn, match="this token was revoked"):
        signed_in(catalog, other.token)


def test_the_last_use_of_a_token_is_kept_to_the_minute_by_the_catalogs_clock(
    catalog: Catalog, alice: str, clock: Ticking
) -> None:
    made = token_of(catalog, alice)
    assert catalog.token(made.id).last_used_at is None
    signed_in(catalog, made.token)
    first = catalog.token(made.id).last_used_at
    assert first is not None
    assert START < first <= clock.now
    signed_in(catalog, made.token)
    assert catalog.token(made.id).last_used_at == first
    clock.now += timedelta(minutes=2)
    signed_in(catalog, made.token)
    again = next(catalog.tokens(alice)).last_used_at
    assert again is not None
    assert first < again <= clock.now


@pytest.mark.parametrize(
    "change", [lambda t: t[:-1], lambda t: t + "A", lambda t: t.swapcase(), lambda t: "iws" + t[2:], lambda t: t.replace("_", "-"),
               lambda t: f" {t}", lambda t: t[:20] + "A" * 43, lambda _: "", lambda _: "iw__", lambda t: t + "\n"],
)  # fmt: skip
def test_a_token_that_is_not_quite_one_proves_nobody(catalog: Catalog, alice: str, change) -> None:  # type: ignore[no-untyped-def]
    token = token_of(catalog, alice).token
    with pytest.raises(errors.NotSignedIn) as caught:
        signed_in(catalog, change(token))
    assert caught.value.reason == ""


def test_no_secret_is_in_the_log_or_in_a_listing(catalog: Catalog, alice: str) -> None:
    session, made = entered(catalog), token_of(catalog, alice)
    kept = catalog.password_of(alice)
    secret = catalog.token_secret(made.id)
    assert kept is not None
    assert secret is not None
    told = json.dumps(
        [one.model_dump(mode="json") for one in (*catalog.events(), *catalog.tokens(), *catalog.identities())]
    )
    for hidden in (PASSWORD, kept.hash, secret.digest, made.token, session, made.token.split("_", 2)[2]):
        assert hidden not in told
    assert kept.hash.startswith("$argon2id$")
    assert secret.digest != made.token.split("_", 2)[2]


def test_guesses_are_limited_by_name_and_address_and_the_owner_is_not_shut_out(
    catalog: Catalog, alice: str, clock: Ticking
) -> None:
    for _ in range(MOST["both"]):
        with pytest.raises(errors.SignInFailed):
            entered(catalog, password="guess")
    with pytest.raises(errors.SignInLimited) as limited:
        entered(catalog)  # even with the right one
    assert 0 < limited.value.retry_after_s <= WINDOW.total_seconds()
    assert entered(catalog, address="192.0.2.2")
    clock.now += WINDOW
    assert entered(catalog)


def test_guesses_from_one_address_are_limited_whatever_the_names(catalog: Catalog, alice: str) -> None:
    for number in range(MOST["address"]):
        with pytest.raises(errors.SignInFailed):
            entered(catalog, f"name{number}", "guess")
    with pytest.raises(errors.SignInLimited):
        entered(catalog)
    limited = [event for event in catalog.events() if event.kind == events.IDENTITY_SIGN_IN_LIMITED]
    assert len(limited) == 1  # told once, not with each


def test_sign_ins_that_go_well_do_not_use_up_an_address(catalog: Catalog, alice: str) -> None:
    for _ in range(MOST["address"] + 2):
        entered(catalog)


def test_many_guesses_at_once_get_no_more_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.catalog.samples import opened

    monkeypatch.setenv("IMAGEWRIGHT_HOME", str(tmp_path / "home"))
    with opened(f"sqlite:///{tmp_path}/catalog.db") as catalog:
        registering.add(catalog, "admin", "alice", "team", role="user", password=PASSWORD)

        def guess(_: int) -> bool:
            try:
                entered(catalog, password="guess")
            except errors.SignInLimited:
                return False
            except errors.SignInFailed:
                return True
            raise AssertionError("it was no guess")

        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(guess, range(16))) == MOST["both"]


def test_sign_ins_are_in_the_log_with_their_address_and_unknown_names_are_not(catalog: Catalog, alice: str) -> None:
    entered(catalog)
    for name in (alice, PASSWORD):
        with pytest.raises(errors.SignInFailed):
            entered(catalog, name, "wrong")
    told = [(e.kind.rpartition(".")[2], e.subject, e.after) for e in catalog.events() if "sign" in e.kind]
    address = {"address": HERE}
    assert told == [
        ("signed_in", "identity:alice", address), ("sign_in_failed", "identity:alice", address),
        ("sign_in_failed", "identity:", address),
    ]  # fmt: skip
    assert catalog.verify_events()
    assert catalog.verify_tables()


def test_the_last_administrator_stays(catalog: Catalog) -> None:
    registering.first_administrator(catalog, "root", PASSWORD)
    for change in ({"disabled": True}, {"role": "user", "account": "team"}):
        with pytest.raises(errors.LastAdministrator):
            registering.change(catalog, "admin", "root", change)
    registering.add(catalog, "admin", "robot", "admin", role="admin")  # a robot can't sign in at the console
    with pytest.raises(errors.LastAdministrator):
        registering.change(catalog, "admin", "root", {"disabled": True})
    registering.add(catalog, "admin", "second", "ops", role="admin", password=PASSWORD)
    assert registering.change(catalog, "admin", "root", {"disabled": True}).disabled


def test_the_first_administrator_is_made_once(catalog: Catalog) -> None:
    made = registering.first_administrator(catalog, "root", PASSWORD)
    assert (made.role, made.account, made.kind) == ("admin", "admin", "person")
    with pytest.raises(errors.InvalidRequest, match="there is a person already"):
        registering.first_administrator(catalog, "other", PASSWORD)


@pytest.mark.parametrize(
    ("fields", "parameter"),
    [({"name": "a b"}, "name"), ({"name": ""}, "name"), ({"name": "x" * 65}, "name"), ({"name": "os:root"}, "name"),
     ({"password": "short"}, "password"), ({"password": "Alice-Alice", "name": "alice-alice"}, "password"),
     ({"account": " team"}, "account"), ({"projects": ("",)}, "projects"), ({"account": "admin"}, "account"),
     ({"kind": "robot"}, "password")],
)  # fmt: skip
def test_what_no_identity_can_be(catalog: Catalog, fields: dict[str, object], parameter: str) -> None:
    given = {"name": "alice", "account": "team", "role": "user", "password": PASSWORD} | fields
    with pytest.raises(errors.InvalidRequest) as caught:
        registering.add(catalog, "admin", **given)  # type: ignore[arg-type]
    assert caught.value.parameter == parameter
    assert str(given["password"]) not in str(caught.value)


def test_names_are_taken_once(catalog: Catalog, alice: str) -> None:
    with pytest.raises(errors.IdentityExists):
        registering.add(catalog, "admin", alice, "other", role="user", password=PASSWORD)
    with pytest.raises(errors.IdentityNotFound):
        token_of(catalog, "bob")


def test_an_identity_sees_what_its_own_projects_see(catalog: Catalog, alice: str) -> None:
    with catalog.changing("admin") as change:
        change.save_account(Account(name="team", projects=("web",), created_at=START))
    shared = {"sharing_mode": "specified", "owner": "other"}
    web, ci = saved(catalog, an_image(shared_projects=("web",), **shared), an_image(shared_projects=("ci",), **shared))
    hers = catalog.on_behalf_of(alice, "API")
    assert [image.id for image in hers.images(account="team")] == [web.id]
    registering.change(catalog, "admin", alice, {"projects": ("ci",)})
    assert [image.id for image in hers.images(account="team")] == [ci.id]
    assert hers.image(ci.id, account="team") == ci
    assert hers.account("team").projects == ("web",)  # what is configured stays what it is
    with pytest.raises(errors.ImageNotFound):
        hers.image(web.id, account="team")
    assert [image.id for image in catalog.images(account="team")] == [web.id]


def test_entries_name_identity_and_door_and_older_ones_keep_their_hash(catalog: Catalog) -> None:
    saved(catalog, an_image())
    with catalog.on_behalf_of("alice", "API").changing("team", "run-1") as change:
        change.record("test.noted", "image:x")
    last = list(catalog.events())[-1]
    assert (last.actor, last.identity, last.door, last.run_id) == ("team", "alice", "API", "run-1")
    assert catalog.verify_events() == last.sequence


def test_a_secret_is_compared_whether_there_is_a_row_or_not() -> None:
    made = proofs.new_secret(proofs.TOKEN)
    given = proofs.given(made.text)
    assert given is not None
    assert (given.proves(made.digest), given.proves(None), given.proves("0" * 64)) == (True, False, False)
    assert made.text.count("_") >= 2
    assert SignedIn.model_fields.keys() == {"identity", "scope", "proof", "expires_at"}


def test_a_robot_and_its_first_token_are_made_both_or_neither(catalog: Catalog, clock: Ticking) -> None:
    def added(**fields: object) -> NewToken:
        given: dict[str, object] = {"role": "user", "scope": Scope(), "expires_at": None} | fields
        return registering.add_robot(catalog, "admin", "root", "ci", "team", **given)  # type: ignore[arg-type]

    for wrong in ({"expires_at": clock.now}, {"scope": Scope(images=("",))}):
        with pytest.raises(errors.InvalidRequest):
            added(**wrong)
        with pytest.raises(errors.IdentityNotFound):
            catalog.identity("ci")
    made = added()
    assert (signed_in(catalog, made.token).identity.name, catalog.identity("ci").kind) == ("ci", "robot")
    with pytest.raises(errors.IdentityExists):
        added()


@pytest.mark.parametrize("name", ["x" * 65, " a", "a ", "a\nb", "\u202e", "\ud800"])
def test_what_no_token_can_be_called(catalog: Catalog, alice: str, name: str) -> None:
    with pytest.raises(errors.InvalidRequest, match="at most 64 characters"):
        token_of(catalog, alice, name=name)
    assert token_of(catalog, alice, name="nächtlich 夜").name == "nächtlich 夜"
