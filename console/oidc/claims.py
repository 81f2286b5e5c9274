"""Verify ID tokens: signed by the provider, for us, for this sign-in, and not expired."""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from catalog.errors import SignInRefused
from catalog.rules.accounts.sign_in import NAME

ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
"""Signatures by a private key of the provider: no signature, or one by a secret that we know too, proves nothing."""
LEEWAY_S = 60
WHAT = "the sign-in at the provider"


@dataclass(frozen=True, slots=True)
class Expected:
    """The expected claims. nonce: of this sign-in, None for a device code, which has none."""

    issuer: str
    client_id: str
    nonce: str | None = None


@dataclass(frozen=True, slots=True)
class Person:
    """A person as the provider knows them.

    proof: distinguishes them from anyone else who has or will have the same name.
    """

    name: str
    groups: tuple[str, ...]
    proof: str


def verified(token: str, keys: KeySet, expected: Expected) -> Mapping[str, object]:
    """Return the claims of an ID token. Raises SignInRefused."""
    try:
        claims = jwt.decode(token, keys, algorithms=ALGORITHMS).claims
        jwt.JWTClaimsRegistry(
            leeway=LEEWAY_S,
            iss={"essential": True, "value": expected.issuer},
            aud={"essential": True, "value": expected.client_id},
            sub={"essential": True},
            exp={"essential": True},
            iat={"essential": True},
        ).validate(claims)
    except (JoseError, ValueError, TypeError) as error:
        raise SignInRefused(WHAT, f"its token is not good ({type(error).__name__})") from error
    _check_party(claims, expected)
    return claims


def _check_party(claims: Mapping[str, object], expected: Expected) -> None:
    several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
    party = claims.get("azp", None if several else expected.client_id)
    if party != expected.client_id:
        raise SignInRefused(WHAT, "its token was made for another program")
    given = str(claims.get("nonce", ""))
    if expected.nonce is not None and not hmac.compare_digest(given.encode(), expected.nonce.encode()):
        raise SignInRefused(WHAT, "its token was made for another sign-in")


def person_in(claims: Mapping[str, object], name_claim: str, groups_claim: str) -> Person:
    """Return the person of the claims. Raises SignInRefused if the name is not valid here."""
    name, groups = claims.get(name_claim), claims.get(groups_claim, ())
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise SignInRefused(WHAT, f"its claim {name_claim!r} is no name of 1 to 64 letters, digits and . _ @ + -")
    listed = groups if isinstance(groups, list | tuple) else (groups,)
    return Person(name, tuple(one for one in listed if isinstance(one, str)), _proof(claims))


def _proof(claims: Mapping[str, object]) -> str:
    said = f"{claims['iss']}\n{claims['sub']}"
    return hashlib.sha256(said.encode(errors="surrogatepass")).hexdigest()
