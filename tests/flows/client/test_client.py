"""Reading from afar: the records that the catalog has, as whoever asks sees them, and the errors that the same call raises there."""

from collections.abc import Callable

import pytest

from catalog import open_catalog
from catalog.errors import (
    ImageNotFound,
    ImagewrightError,
    InvalidRequest,
    NotAllowed,
    NotSignedIn,
    OtherAccount,
)
from catalog.records import Image
from flows.client import Client, listings
from flows.client.errors import ServiceRefused, ServiceUnreachable
from tests.flows.managed import placed
from tests.services.process import free_port
from tests.services.service import Service

pytestmark = pytest.mark.xdist_group("client")


@pytest.fixture(scope="module")
def images(served: Service) -> tuple[Image, ...]:
    return tuple(placed(f"{name}".encode() * 4096, owner="team", name=name) for name in ("ci-a", "ci-b", "web"))


def test_records_come_back_as_the_catalog_has_them(user: Client, images: tuple[Image, ...]) -> None:
    with open_catalog() as catalog:
        assert tuple(user.images()) == tuple(catalog.images(account="team"))
        assert user.image(images[0].id) == catalog.image(images[0].id)
        assert user.replicas(images[0].id) == tuple(catalog.replicas(images[0].id))
        assert tuple(user.storages()) == tuple(catalog.image_storages())
        assert [event.sequence for event in user.events(images[1].id)] == [
            e.sequence for e in catalog.events(images[1].id)
        ]
    assert [image.name for image in user.images(name_pattern="ci-*", limit=1)] == ["ci-b"]
    assert tuple(user.images(limit=0)) == ()


def test_a_listing_of_many_pages_is_whole(
    user: Client, images: tuple[Image, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listings, "PAGE", 1)
    assert sorted(image.name for image in user.images()) == ["ci-a", "ci-b", "web"]


def test_who_one_is(user: Client) -> None:
    who = user.whoami()
    assert (who.name, who.account, who.role, who.kind) == ("user", "team", "user", "person")


@pytest.mark.parametrize("who", ["expired robot", "disabled", "nobody"])
def test_a_token_that_is_no_longer_known_is_not_signed_in(served: Service, who: str) -> None:
    with (
        Client(served.url, served.tokens[who] or "iw_no_token") as client,
        pytest.raises(NotSignedIn, match="sign in first"),
    ):
        client.whoami()


def test_what_one_may_not_see_does_not_exist(served: Service, images: tuple[Image, ...]) -> None:
    with Client(served.url, served.tokens["other"]) as other:
        assert tuple(other.images()) == ()
        with pytest.raises(ImageNotFound) as hidden:
            other.image(images[0].id)
        with pytest.raises(ImageNotFound) as nothing:
            other.image("nothing")
        with pytest.raises(ImageNotFound):
            tuple(other.events(images[0].id))
        with pytest.raises(OtherAccount):
            tuple(other.images(account="team"))
    assert str(hidden.value).replace(images[0].id, "nothing") == str(nothing.value)
    assert hidden.value.name == images[0].id


@pytest.mark.parametrize(
    ("ask", "kind", "said"),
    [
        (lambda c: c.begin("expunge-image", {"image_ids": ["x"]}), ImagewrightError, "x"),
        (lambda c: c.begin("recover-runs", {}), NotAllowed, "the role admin"),
        (lambda c: c.begin("edit-image", {"image_id": "x", "nonsense": 1}), InvalidRequest, "nonsense: 1 is not allowed"),
        (lambda c: c.begin("no-such-thing", {}), ServiceRefused, "Not Found"),
        (lambda c: c.state_of("00000000-0000-4000-8000-000000000000"), ImagewrightError, ""),
        (lambda c: tuple(c.images(limit=-1)), InvalidRequest, "limit: -1"),
        (lambda c: tuple(c.images(status="Sleeping")), InvalidRequest, "status"),
        (lambda c: c.image("../whoami"), ImageNotFound, "../whoami"),
        (lambda c: c.image(".."), ImageNotFound, "'..'"),
        (lambda c: c.verified(), ImagewrightError, "does not offer events --verify"),
    ],
)  # fmt: skip
def test_a_refusal_is_the_error_that_it_is_on_the_host(
    user: Client, ask: Callable[[Client], object], kind: type[ImagewrightError], said: str
) -> None:
    with pytest.raises(kind) as raised:
        ask(user)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_nothing_there_is_one_sentence_at_once() -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    with Client(nowhere, "iw_x") as client, pytest.raises(ServiceUnreachable, match="Connection refused") as raised:
        client.begin("recover-runs", {})
    assert not raised.value.was_reached


def test_a_client_without_a_service_says_what_to_do(served: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotSignedIn, match="imagewright login URL"):
        Client()
    monkeypatch.setenv("IMAGEWRIGHT_SERVER", served.url)
    with pytest.raises(NotSignedIn, match="no token"):
        Client()
    monkeypatch.setenv("IMAGEWRIGHT_TOKEN", served.tokens["user"])
    with Client() as client:
        assert client.whoami().name == "user"
    monkeypatch.setenv("IMAGEWRIGHT_SERVER", "")
    with pytest.raises(InvalidRequest, match="IMAGEWRIGHT_SERVER as well"):
        Client()


def test_people_and_tokens_are_kept_from_afar(root: Client, user: Client) -> None:
    added = root.people.add_identity("bob", "team", role="user", password="correct horse 8")
    assert added in root.people.identities()
    assert root.people.change_identity("bob", {"role": "viewer"}).role == "viewer"
    with pytest.raises(NotAllowed):
        user.people.identities()
