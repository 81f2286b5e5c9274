"""Signatures: whose are good, inline and beside, and every way in which one is not."""

import time
from pathlib import Path

import pytest

from catalog.errors import InvalidRequest
from storage.programs.gpgv import KEY, dearmoured, verified
from tests.services.openpgp import Publisher, publisher

LIST = b"ab12  os-1.0.img\n- dash\ntrailing  \n"


@pytest.fixture(scope="module")
def somebody(tmp_path_factory: pytest.TempPathFactory) -> Publisher:
    return publisher(tmp_path_factory.mktemp("gpg") / "somebody")


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Publisher:
    return publisher(tmp_path_factory.mktemp("gpg") / "other")


def test_what_is_signed_within_is_returned_and_nothing_around_it(somebody: Publisher) -> None:
    clear = somebody.signed(LIST)
    found = verified(clear, None, (somebody.key,))
    assert [line.rstrip() for line in found.data.splitlines()] == [line.rstrip() for line in LIST.splitlines()]
    assert len(found.signed_by) == 1
    behind = verified(clear + b"cd34  os-9.9.img\n", None, (somebody.key,))
    assert b"os-9.9" not in behind.data
    assert verified(b"cd34  os-9.9.img\n" + clear, None, (somebody.key,)).data == b""


@pytest.mark.parametrize("armour", [True, False])
def test_a_signature_beside_the_data_counts(somebody: Publisher, other: Publisher, armour: bool) -> None:
    signature = somebody.signature(LIST, armour=armour)
    assert verified(LIST, signature, (other.key, somebody.key)).data == LIST
    assert (
        verified(LIST + b"x", signature, (somebody.key,)).reason == "its signature is wrong: it is not what was signed"
    )


def test_another_key_does_not_count(somebody: Publisher, other: Publisher) -> None:
    for data, signature in ((LIST, other.signature(LIST)), (other.signed(LIST), None)):
        found = verified(data, signature, (somebody.key,))
        assert (found.data, found.signed_by) == (b"", ())
        assert found.reason == "it is signed by another key than those given"


def test_a_key_that_has_expired_does_not_count(tmp_path: Path) -> None:
    short = publisher(tmp_path / "short", "seconds=2")
    signature, key = short.signature(LIST), short.key
    time.sleep(3)
    assert verified(LIST, signature, (key,)).reason == "it is signed by a key that has expired"


@pytest.mark.parametrize(
    "signature", [b"", b"garbage", b"-----BEGIN PGP SIGNATURE-----\nx\n-----END PGP SIGNATURE-----", b"\x00" * 99]
)
def test_what_is_no_signature_does_not_count(somebody: Publisher, signature: bytes) -> None:
    found = verified(LIST, signature, (somebody.key,))
    assert found.signed_by == ()
    assert found.reason
    assert verified(LIST, None, (somebody.key,)).reason == "it is not signed"


@pytest.mark.parametrize(
    "text", ["", "x", "-----BEGIN PGP PUBLIC KEY BLOCK-----\n!!\n-----END PGP PUBLIC KEY BLOCK-----"]
)
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="public_keys"):
        dearmoured(text, KEY)
