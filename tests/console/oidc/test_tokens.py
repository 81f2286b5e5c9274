"""Tokens that a provider, or somebody in its place, could send: only the right one lets in. And codes for programs."""

import hmac
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from urllib.parse import parse_qs, urlsplit

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey
from starlette.testclient import TestClient

from catalog import open_catalog
from catalog.errors import InvalidRequest
from console.login.cookies import NAME
from console.oidc.groups import Place, place_for, places_of
from tests.console.api.v1.people import bearer
from tests.console.oidc.conftest import GROUPS, Opened
from tests.services.oidc import CLIENT_ID, OddProvider

NOW = int(time.time())


def back(client: TestClient, odd: OddProvider, **said: str) -> int:
    """Go to the provider and come back with a code; return what is answered."""
    asked = parse_qs(urlsplit(client.get("/login/oidc").headers["Location"]).query)
    odd.claims.setdefault("nonce", asked["nonce"][0])
    given = {"state": asked["state"][0], "code": "c", **said}
    return int(client.get("/login/oidc/callback", params=given).status_code)


def test_the_right_one_lets_in_and_is_asked_for_as_ours(console: Opened, odd: OddProvider) -> None:
    client = console(odd.issuer)
    assert back(client, odd, iss=odd.issuer) == 200
    assert NAME in client.cookies
    assert len(odd.asked[0]["code_verifier"]) >= 43
    assert "client_secret" not in odd.asked[0]  # it goes as Basic, not into forms that are logged


@pytest.mark.parametrize(
    "claims",
    [{"iss": "http://127.0.0.1:1"}, {"iss": None}, {"aud": "another"}, {"aud": [CLIENT_ID, "another"]}, {"aud": None},
     {"aud": [CLIENT_ID], "azp": "another"}, {"exp": NOW - 3600}, {"exp": None}, {"iat": NOW + 3600}, {"iat": None}, {"nbf": NOW + 3600},
     {"nonce": "another"}, {"nonce": None, "x": 1}, {"sub": None}, {"sub": ""}, {"exp": "soon"}, {"preferred_username": None},
     {"preferred_username": ["ada"]}, {"preferred_username": "admin\n"}, {"groups": None}, {"groups": "we"},
     {"groups": {"web": 1}}],
)  # fmt: skip
def test_claims_of_others(console: Opened, odd: OddProvider, claims: dict[str, object]) -> None:
    client = console(odd.issuer)
    odd.claims = dict(claims)
    assert back(client, odd) == 401
    assert NAME not in client.cookies
    with open_catalog() as catalog:
        assert not list(catalog.identities())


def forged(odd: OddProvider) -> Mapping[str, Callable[[], None]]:
    """Return what somebody in the provider's place could do."""
    other = RSAKey.generate_key(2048, {"kid": "1"})

    def with_another_key() -> None:
        odd.signs_with = other

    def with_our_secret() -> None:
        key = OctKey.import_key("s3cret/+" * 8)
        odd.token = jwt.encode({"alg": "HS256"}, odd.claims, key, algorithms=["HS256"])

    def with_the_public_key_as_secret() -> None:
        _, body, _ = odd.made().split(".")  # libraries refuse to make it: by hand
        head = urlsafe_b64encode(b'{"alg":"HS256","kid":"1"}').decode().rstrip("=")
        sign = hmac.digest(odd.key.as_pem(private=False), f"{head}.{body}".encode(), "sha256")
        odd.token = f"{head}.{body}.{urlsafe_b64encode(sign).decode().rstrip('=')}"

    def with_nothing() -> None:
        head, body, _ = odd.made().split(".")
        odd.token = f"eyJhbGciOiJub25lIn0.{body}."
        assert head

    def changed() -> None:
        head, body, sign = odd.made().split(".")
        odd.token = f"{head}.{body[:-4]}AAAA.{sign}"

    def no_token() -> None:
        odd.token = "x"

    return {f.__name__: f for f in (with_another_key, with_our_secret, with_the_public_key_as_secret, with_nothing, changed, no_token)}  # fmt: skip


@pytest.mark.parametrize(
    "how",
    ["with_another_key", "with_our_secret", "with_the_public_key_as_secret", "with_nothing", "changed", "no_token"],
)
def test_forged_ones(console: Opened, odd: OddProvider, how: str) -> None:
    client = console(odd.issuer)
    forged(odd)[how]()
    assert back(client, odd) == 401
    assert NAME not in client.cookies


def test_a_provider_that_says_to_be_another_is_none(console: Opened, odd: OddProvider) -> None:
    client = console(odd.issuer)
    odd.facts = {"issuer": "https://accounts.example"}
    assert client.get("/login/oidc").status_code == 503


def test_another_one_that_answers_is_refused(console: Opened, odd: OddProvider) -> None:
    assert back(console(odd.issuer), odd, iss="https://accounts.example") == 401


def test_addresses_that_anybody_on_the_way_could_change_are_asked_nothing(console: Opened, odd: OddProvider) -> None:
    odd.facts = {"token_endpoint": "http://192.0.2.1/token"}
    assert back(console(odd.issuer), odd) == 503
    with pytest.raises(InvalidRequest, match="IMAGEWRIGHT_OIDC_ISSUER"):
        console("http://id.example.org")


def test_a_new_key_of_the_provider_is_learned(
    console: Opened, odd: OddProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = console(odd.issuer)
    assert back(client, odd) == 200
    odd.key = RSAKey.generate_key(2048, {"kid": "2", "use": "sig"})
    odd.claims.clear()
    assert back(client, odd) == 401  # keys are asked for once a minute at most
    monkeypatch.setattr("console.oidc.provider.SOONEST_S", 0.0)
    odd.claims.clear()
    assert back(client, odd) == 200


def test_a_program_comes_in_by_a_code_that_its_person_types(console: Opened, odd: OddProvider) -> None:
    client = console(odd.issuer)
    made = client.post("/api/v1/session/device").json()
    assert (made["user_code"], made["verification_uri"]) == ("ABCD-EFGH", f"{odd.issuer}/go")
    assert "dddd" not in made["device"]
    odd.error = "authorization_pending"
    waits = client.post("/api/v1/session/device/token", json={"device": made["device"]})
    assert (waits.status_code, waits.json()) == (202, {"state": "pending"})
    odd.error = None
    session = client.post("/api/v1/session/device/token", json={"device": made["device"]})
    assert session.status_code == 200, session.text
    assert odd.asked[-1]["device_code"] == "d" * 40
    who = client.get("/api/v1/whoami", headers=bearer(session.json()["token"])).json()
    assert (who["name"], who["role"]) == ("ada", "user")


@pytest.mark.parametrize("error", ["access_denied", "expired_token", "invalid_grant", "<script>"])
def test_a_code_that_was_refused_lets_nobody_in(console: Opened, odd: OddProvider, error: str) -> None:
    client = console(odd.issuer)
    made = client.post("/api/v1/session/device").json()
    odd.error = error
    refused = client.post("/api/v1/session/device/token", json={"device": made["device"]})
    assert (refused.status_code, refused.json()["type"]) == (401, "SignInRefused")
    assert error not in refused.text


def test_a_provider_that_does_not_know_us_is_no_fault_of_who_signs_in(console: Opened, odd: OddProvider) -> None:
    odd.error = "invalid_client"
    assert back(console(odd.issuer), odd) == 503


@pytest.mark.parametrize("device", ["", "x", "d" * 40, "é"])
def test_a_code_that_was_not_made_here_is_asked_nobody(console: Opened, odd: OddProvider, device: str) -> None:
    client = console(odd.issuer)
    refused = client.post("/api/v1/session/device/token", json={"device": device})
    assert (refused.status_code, odd.asked) == (401, [])


def test_nobody_has_us_ask_the_provider_without_end(console: Opened, odd: OddProvider) -> None:
    client = console(odd.issuer)
    answers = [client.get("/login/oidc/callback?state=a&code=b").status_code for _ in range(61)]
    assert answers == [401] * 60 + [429]


def test_codes_are_not_made_without_end(console: Opened, odd: OddProvider) -> None:
    client = console(odd.issuer)
    answers = [client.post("/api/v1/session/device/token", json={"device": "x"}).status_code for _ in range(61)]
    assert answers == [401] * 60 + [429]


def test_groups_come_to_places_the_first_one_that_fits() -> None:
    places = places_of(GROUPS.split(","))
    assert place_for(places, ["guests", "web"]) == Place("web", "team", "user", ("blog", "shop"))
    assert place_for(places, ["nobody"]) is None
    assert places_of(["cn=web,dc=x=team:user"])[0].group == "cn=web,dc=x"


@pytest.mark.parametrize(
    "rule", ["web", "web=team", "web=team:root", "=team:user", "web=:user", "web=admin:user", "web=team:user: x"]
)
def test_a_rule_that_leads_nowhere_is_said(rule: str) -> None:
    with pytest.raises(InvalidRequest):
        places_of([rule])
