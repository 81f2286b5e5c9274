"""Files sent by programs: the console's tus server, for whoever a token proves, and for nobody else."""

from collections.abc import Mapping

import pytest
from starlette.testclient import TestClient

from catalog.settings import load_settings
from storage.uploads import Uploads
from tests.console.tus import TUS, creation, piece

Headers = Mapping[str, dict[str, str]]
PLACE = "/api/v1/uploads"
DISK = bytes(range(256)) * 4096  # nobody's signature


def begun(api: TestClient, headers: dict[str, str], length: int = 10, **request: object) -> str:
    answer = api.post(PLACE, headers={**creation(length, "add_volume_image", **request), **headers})
    assert answer.status_code == 201, answer.text
    place = str(answer.headers["Location"])
    assert place.startswith(f"{PLACE}/")
    return place


def test_bytes_come_in_pieces_for_the_account_of_the_token(api: TestClient, people: Headers) -> None:
    user = people["user"]
    place = begun(api, user)
    sent = api.patch(place, content=b"0123", headers={**piece(0), **user})
    assert (sent.status_code, sent.headers["Upload-Offset"]) == (204, "4")
    told = api.head(place, headers={**TUS, **user})
    assert (told.headers["Upload-Offset"], told.headers["Upload-Length"]) == ("4", "10")
    kept = Uploads(load_settings()).get(place.rpartition("/")[2])
    assert (kept.owner, kept.identity, kept.door) == ("team", "user", "API")
    assert api.delete(place, headers={**TUS, **user}).status_code == 204


def test_a_piece_may_be_larger_than_other_bodies(api: TestClient, people: Headers) -> None:
    data = DISK * 6
    place = begun(api, people["user"], len(data) + 1)
    sent = api.patch(place, content=data, headers={**piece(0), **people["user"]})
    assert (sent.status_code, sent.headers.get("Upload-Offset")) == (204, str(len(data)))


@pytest.mark.parametrize(
    ("name", "status"),
    [("nobody", 401), ("disabled", 401), ("expired robot", 401), ("viewer", 403), ("scoped robot", 403), ("root", 201)],
)
def test_who_may_begin(api: TestClient, people: Headers, name: str, status: int) -> None:
    answer = api.post(PLACE, headers={**creation(10), **people[name]})
    assert answer.status_code == status, answer.text
    assert answer.headers["Tus-Resumable"] == "1.0.0"
    assert status == 201 or answer.headers["content-type"] == "application/problem+json"
    assert status == 201 or not list(Uploads(load_settings()).all())


def test_a_robot_for_some_images_sends_those(api: TestClient, people: Headers) -> None:
    robot = people["scoped robot"]
    place = begun(api, robot, name="ci-new")
    assert api.head(place, headers={**TUS, **robot}).status_code == 200
    another = begun(api, people["user"], name="another")
    assert api.head(another, headers={**TUS, **robot}).status_code == 404


@pytest.mark.parametrize("method", ["HEAD", "PATCH", "DELETE"])
def test_uploads_of_other_accounts_are_answered_as_those_that_are_not_there(
    api: TestClient, people: Headers, method: str
) -> None:
    place, nothing = begun(api, people["user"]), f"{PLACE}/1b0e7a52-6c1f-4f0e-9d5a-2f6a3c1d8e90"
    for name in ("other", "scoped robot"):
        said = []
        for one in (place, nothing):
            body = b"0" if method == "PATCH" else None
            answer = api.request(method, one, headers={**piece(0), **people[name]}, content=body)
            said.append((answer.status_code, answer.text.replace(one.rpartition("/")[2], "ID")))
        assert said[0] == said[1]
        assert said[0][0] == 404
    assert api.request(method, place, headers=piece(0)).status_code == 401
    assert api.head(place, headers={**TUS, **people["root"]}).headers["Upload-Offset"] == "0"


@pytest.mark.parametrize(
    ("asked", "kind"),
    [({"account": "others"}, "OtherAccount"), ({"credentials": "env:KEY"}, "NotAllowed"),
     ({"expected_checksum": "file:///etc/passwd"}, "NotAllowed")],
)  # fmt: skip
def test_what_may_not_be_asked_may_not_be_sent(
    api: TestClient, people: Headers, asked: dict[str, str], kind: str
) -> None:
    answer = api.post(PLACE, headers={**creation(10, **asked), **people["user"]})
    assert (answer.status_code, answer.json()["type"]) == (403, kind)


def test_what_is_wrong_is_said_as_problems(api: TestClient, people: Headers) -> None:
    user = people["user"]
    place = begun(api, user)
    wrong = [
        (api.post(PLACE, headers={**creation(10), **user, "Tus-Resumable": "0.2.2"}), 412, "OtherProtocol"),
        (api.patch(place, content=b"x", headers={**piece(7), **user}), 409, "WrongOffset"),
        (api.patch(place, content=b"x", headers={**piece(0), **user, "Content-Type": "text/plain"}), 415, "NoPiece"),
        (api.patch(place, content=b"x" * 11, headers={**piece(0), **user}), 422, "InvalidRequest"),
        (api.post(PLACE, headers={**creation(0), **user}), 422, "InvalidRequest"),
        (api.post(PLACE, headers={**TUS, **user}), 422, "InvalidRequest"),
    ]
    for answer, status, kind in wrong:
        assert (answer.status_code, answer.json()["type"]) == (status, kind), answer.text
        assert answer.headers["Tus-Resumable"] == "1.0.0"
    assert wrong[0][0].headers["Tus-Version"] == "1.0.0"
    assert wrong[1][0].json()["offset"] == 0
    with Uploads(load_settings()).appending(place.rpartition("/")[2]):
        assert api.patch(place, content=b"0", headers={**piece(0), **user}).status_code == 423


def test_what_is_spoken_is_told_to_everybody(api: TestClient) -> None:
    answer = api.options(PLACE)
    assert (answer.status_code, answer.headers["Tus-Extension"]) == (204, "creation,expiration,termination")


def test_a_page_of_another_origin_sends_nothing(api: TestClient, people: Headers) -> None:
    sent = api.post(PLACE, headers={**creation(10), **people["user"], "Origin": "http://evil.example"})
    assert sent.status_code == 403
