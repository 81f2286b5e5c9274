"""The contents of the page *Access* for a visitor, by the same rules as the API's answers."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from catalog.records import Identity, ListedToken, Role, Scope, SignedIn, Usage
from catalog.repository.catalog import Catalog
from catalog.repository.identities.proofs import FOREIGN
from catalog.rules.accounts.quotas import NO_LIMIT, limits_of
from catalog.rules.accounts.roles import may, role_left
from catalog.settings import Settings
from console import people
from console.entrance.visitors import is_operator
from console.look.language import Said
from console.pages.rows import Meter
from console.pages.values import size, when

PAGE = 50
"""Most persons and robots, accounts, or tokens of one identity shown at once."""
SHORT = 8
"""Letters of an id shown instead of a name."""


@dataclass(frozen=True, slots=True)
class TokenLine:
    """A token.

    role: the role it allows, or the verbs; limits: other limits of its scope; ended: `revoked`, `expired` or "".
    """

    id: str
    name: str
    role: str
    limits: tuple[str, ...]
    made: str
    expires: str
    used: str
    ended: str


@dataclass(frozen=True, slots=True)
class PersonLine:
    """A person or robot. provided: signed in by a provider, so without a password; itself: it is the visitor."""

    identity: Identity
    tokens: tuple[TokenLine, ...]
    ended: tuple[TokenLine, ...]
    provided: bool
    itself: bool


@dataclass(frozen=True, slots=True)
class AccountLine:
    """An account with its usage, each figure by its title."""

    name: str
    uses: tuple[tuple[str, Meter], ...]


@dataclass(frozen=True, slots=True)
class Access:
    """The page.

    own: None for the operators, who have no identity; people: None for non-administrators; nobody: there is no person
    yet.
    """

    own: PersonLine | None
    people: tuple[PersonLine, ...] | None
    more: bool
    accounts: tuple[AccountLine, ...]
    more_accounts: bool
    nobody: bool


def access_of(catalog: Catalog, who: SignedIn, settings: Settings, words: str, number: int) -> Access:
    """Return the page for a visitor. words: required in names of persons and accounts; number: of the page, from 0."""
    own = None if is_operator(who) else _person(catalog, who, who.identity)
    if not may(who, "administer"):
        account = _account(catalog, catalog.usage(who.identity.account), settings)
        return Access(own, None, more=False, accounts=(account,), more_accounts=False, nobody=False)
    everybody = people.identities(catalog, who)
    found = list(islice((one for one in everybody if _fits(one, words)), number * PAGE, (number + 1) * PAGE + 1))
    used = list(islice(_used(catalog, everybody, words), PAGE + 1))
    return Access(
        own,
        tuple(_person(catalog, who, one) for one in found[:PAGE]),
        more=len(found) > PAGE,
        accounts=tuple(_account(catalog, usage, settings) for usage in used[:PAGE]),
        more_accounts=len(used) > PAGE,
        nobody=not catalog.has_person(),
    )


def accounts_of(everybody: Iterable[Identity]) -> tuple[str, ...]:
    """Return the accounts that persons and robots belong to, by name."""
    return tuple(sorted({one.account for one in everybody}))


def _fits(one: Identity, words: str) -> bool:
    return words.casefold() in f"{one.name} {one.account} {one.kind} {one.role}".casefold()


def _used(catalog: Catalog, everybody: Iterable[Identity], words: str) -> Iterator[Usage]:
    """Yield the usage of accounts: those with any data or limits, and those of persons and robots."""
    known: Mapping[str, Usage] = {usage.account: usage for usage in catalog.usages()}
    for name in sorted({*known, *accounts_of(everybody)}):
        if words.casefold() in name.casefold():
            yield known.get(name) or catalog.usage(name)


def _account(catalog: Catalog, usage: Usage, settings: Settings) -> AccountLine:
    limits = limits_of(catalog.account(usage.account), settings)
    images, logical = usage.images + usage.reserved_images, usage.size_bytes + usage.reserved_bytes
    return AccountLine(
        usage.account,
        (
            ("Images", _used_of(images, limits.images, str(images), str(limits.images))),
            ("Logical bytes", _used_of(logical, limits.size_bytes, size(logical), size(limits.size_bytes))),
            (
                "Stored bytes",
                _used_of(usage.stored_bytes, limits.stored_bytes, size(usage.stored_bytes), size(limits.stored_bytes)),
            ),
        ),
    )


def _used_of(used: int, limit: int, used_text: str, limit_text: str) -> Meter:
    if limit == NO_LIMIT:
        return Meter(None, Said("{used}, no limit", used=used_text))
    return Meter(min(100.0, 100 * used / limit), Said("{used} of {most}", used=used_text, most=limit_text))


def _person(catalog: Catalog, who: SignedIn, one: Identity) -> PersonLine:
    now, known = catalog.now(), catalog.password_of(one.name)
    lines = [_token(token, one.role, now) for token in people.tokens(catalog, who, one.name)]
    return PersonLine(
        one,
        tuple(line for line in lines if not line.ended)[:PAGE],
        tuple(line for line in lines if line.ended)[:PAGE],
        provided=known is not None and known.hash.startswith(FOREIGN),
        itself=not is_operator(who) and one.name == who.identity.name,
    )


def _token(token: ListedToken, role: Role, now: datetime) -> TokenLine:
    expired = token.expires_at is not None and token.expires_at <= now
    return TokenLine(
        token.id,
        token.name or f"{token.id[:SHORT]}…",
        role_left(role, token.scope) or ", ".join(token.scope.verbs),
        _limits(token.scope),
        when(token.created_at),
        when(token.expires_at),
        when(token.last_used_at),
        "revoked" if token.revoked_at else "expired" if expired else "",
    )


def _limits(scope: Scope) -> tuple[str, ...]:
    images = Said("only images named {names}", names=", ".join(scope.images)) if scope.images else ""
    families = Said("only families {names}", names=", ".join(scope.families)) if scope.families else ""
    return tuple(limit for limit in (images, families) if limit)
