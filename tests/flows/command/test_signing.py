"""A signed lineage is verified by its public key alone, and by nothing else."""

import base64
import json
from pathlib import Path
from typing import cast

import pytest

from catalog import open_catalog
from catalog.errors import InvalidRequest, LineageNotProven
from catalog.log.envelope import PAYLOAD_TYPE, encoded, new_key, public_pem, signed, verified
from flows.command.reading import lineage, public_key
from flows.command.signing import signing_key, verify_lineage
from tasks.promotion.family import set_family
from tasks.promotion.promote import promote
from tests.catalog.rules.promotion.builds import a_build
from tests.flows.managed import saved

KEY = new_key()
STATEMENT: dict[str, object] = {"_type": "x", "subject": [{"name": "ü", "digest": {"sha256": "ab"}}]}


def test_what_was_signed_is_returned() -> None:
    envelope = signed(STATEMENT, KEY)
    assert verified(json.dumps(envelope).encode(), public_pem(KEY).encode()) == STATEMENT


def test_what_is_signed_is_the_encoding_of_the_standard() -> None:
    assert (
        encoded("http://example.com/HelloWorld", b"hello world")
        == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


def altered(**fields: object) -> bytes:
    return json.dumps({**signed(STATEMENT, KEY), **fields}).encode()


@pytest.mark.parametrize(
    "envelope",
    [
        altered(payload=base64.b64encode(b'{"_type": "y"}').decode()),
        altered(payloadType="text/plain"),
        altered(signatures=[]),
        altered(signatures=None),
        altered(signatures=[{"sig": base64.b64encode(bytes(64)).decode()}]),
        altered(signatures=[{"keyid": "x"}]),
        altered(payload="!!"),
        b"", b"[]", b"x", b"[" * 100_000,
    ],
)  # fmt: skip
def test_anything_else_is_not_proven(envelope: bytes) -> None:
    with pytest.raises(LineageNotProven):
        verified(envelope, public_pem(KEY).encode())


def test_another_key_did_not_sign_it() -> None:
    with pytest.raises(LineageNotProven, match="it is not signed by key"):
        verified(altered(), public_pem(new_key()).encode())
    for key in (b"", b"x", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"):
        with pytest.raises(InvalidRequest, match="an Ed25519 public key"):
            verified(altered(), key)


def test_a_promotion_with_its_evidence_is_proven_in_an_empty_folder(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    set_family.fn({"name": "debian"}, "admin")
    image = saved(a_build("1.0"))
    promote.fn(image.id, "debian", "first of all", "admin")
    lineage(image.id, signed=True)
    envelope = capsys.readouterr().out
    public_key()
    key = capsys.readouterr().out
    with open_catalog() as catalog:
        assert signing_key(catalog) == signing_key(catalog)
    away = tmp_path / "away"
    away.mkdir()
    monkeypatch.chdir(away)
    monkeypatch.setenv("IMAGEWRIGHT_HOME", str(away / "none"))
    Path("lineage.json").write_text(envelope)
    Path("key.pem").write_text(key)
    verify_lineage("lineage.json", public_key="key.pem", as_json=True)
    statement = json.loads(capsys.readouterr().out)
    (promotion,) = (b for b in statement["predicate"]["runDetails"]["byproducts"] if b["name"].startswith("promotion:"))
    said = cast("dict[str, object]", promotion["annotations"])
    assert (said["reason"], said["family"]) == ("first of all", "debian")
    assert [one["gate"] for one in cast("list[dict[str, object]]", said["evidence"])] == [
        "digest",
        "format",
        "quality",
        "hygiene",
    ]
    assert sorted(path.name for path in away.iterdir()) == ["key.pem", "lineage.json"]
    assert json.loads(envelope)["payloadType"] == PAYLOAD_TYPE
    verify_lineage("lineage.json", public_key="key.pem")
    assert "signed, and as it was signed" in capsys.readouterr().out
    with pytest.raises(InvalidRequest, match="No such file"):
        verify_lineage("none.json", public_key="key.pem")
