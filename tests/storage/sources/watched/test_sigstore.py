"""Signatures and bundles as cosign writes them, made by OpenSSL, are believed of the right key and the right file only."""

import base64
import hashlib
import json
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from catalog.errors import InvalidRequest
from storage.sources.watched.sigstore import OTHER, PREDICATES, WRONG, fingerprint, public_key, verified
from tests.services.process import find

LIST = b"ab  os-1.0-amd64.qcow2\n"
KINDS: Mapping[str, tuple[str, ...]] = {
    "p256": ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"),
    "ed25519": ("-algorithm", "ED25519"),
    "p384": ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"),
}


def openssl(*words: str | Path) -> bytes:
    return subprocess.run([find("openssl", "openssl"), *map(str, words)], check=True, capture_output=True).stdout


class Signer:
    """Somebody with a key of a kind."""

    def __init__(self, folder: Path, kind: str) -> None:
        self.folder, self.kind = folder, kind
        folder.mkdir()
        openssl("genpkey", *KINDS[kind], "-out", folder / "key")
        self.key = openssl("pkey", "-in", folder / "key", "-pubout").decode()

    def sign(self, data: bytes) -> bytes:
        """Return a signature in base64."""
        (self.folder / "data").write_bytes(data)
        made = (
            openssl("pkeyutl", "-sign", "-rawin", "-inkey", self.folder / "key", "-in", self.folder / "data")
            if self.kind == "ed25519"
            else openssl("dgst", "-sha256", "-sign", self.folder / "key", self.folder / "data")
        )
        return base64.b64encode(made)


def bundle(signature: bytes, data: bytes) -> bytes:
    """Return Sigstore's bundle v0.3 with a key's hint."""
    digest = base64.b64encode(hashlib.sha256(data).digest()).decode()
    return json.dumps({
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": {"publicKey": {"hint": "x"}, "tlogEntries": []},
        "messageSignature": {
            "messageDigest": {"algorithm": "SHA2_256", "digest": digest}, "signature": signature.decode(),
        },
    }).encode()  # fmt: skip


def statement(data: bytes, **fields: object) -> dict[str, object]:
    """Return an in-toto statement that somebody signed a list, among other files."""
    named = [
        {"name": "other", "digest": {"sha256": "0" * 64}},
        {"name": "SHA256SUMS", "digest": {"sha256": hashlib.sha256(data).hexdigest()}},
    ]
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": named,
        "predicateType": PREDICATES[0],
        "predicate": {},
        **fields,
    }


def envelope(
    said: Mapping[str, object], *signers: Signer, kind: str = "application/vnd.in-toto+json"
) -> dict[str, object]:
    """Return a DSSE envelope of a statement."""
    payload = json.dumps(said).encode()
    message = f"DSSEv1 {len(kind)} {kind} {len(payload)} ".encode() + payload
    made = [{"sig": one.sign(message).decode(), "keyid": ""} for one in signers]
    return {"payload": base64.b64encode(payload).decode(), "payloadType": kind, "signatures": made}


def enclosed(made: Mapping[str, object]) -> bytes:
    """Return Sigstore's bundle v0.3 of an envelope, as cosign writes it with a key."""
    material = {"publicKey": {"hint": "x"}, "tlogEntries": []}
    return json.dumps({
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json", "verificationMaterial": material, "dsseEnvelope": made,
    }).encode()  # fmt: skip


@pytest.mark.parametrize("kind", ["p256", "ed25519"])
def test_a_signed_statement_about_a_file_is_a_signature_of_it(tmp_path: Path, kind: str) -> None:
    signer, other = Signer(tmp_path / "a", kind), Signer(tmp_path / "b", "p256")
    named = fingerprint(public_key(signer.key))
    for predicate in PREDICATES:
        made = envelope(statement(LIST, predicateType=predicate), other, signer)
        for text in (enclosed(made), json.dumps(made).encode()):
            assert (verified(LIST, text, [signer.key]).signed_by, verified(LIST, text, [signer.key]).data) == (
                (named,),
                LIST,
            )
            assert verified(LIST + b"x", text, [signer.key]).reason == OTHER
    alone = envelope(statement(LIST), other)
    assert verified(LIST, enclosed(alone), [signer.key]).reason == WRONG
    good = envelope(statement(LIST), signer)
    for changed in (
        {**good, "payload": envelope(statement(LIST + b"x"), signer)["payload"]},
        {**good, "payload": envelope(statement(LIST, predicate={"a": 1}), other)["payload"]},
        {**good, "signatures": [{"sig": signer.sign(LIST).decode()}]},  # of the file itself: another kind of message
        {**good, "signatures": []}, {**good, "signatures": [7]}, {**good, "signatures": None},
    ):  # fmt: skip
        assert not verified(LIST, enclosed(changed), [signer.key]).signed_by


def test_a_statement_that_says_something_else_of_a_file_is_no_signature(tmp_path: Path) -> None:
    signer = Signer(tmp_path / "a", "ed25519")
    for said, told in (
        ({"predicateType": "https://cyclonedx.org/bom"}, "https://cyclonedx.org/bom"), ({"predicateType": ["x"]}, "no signature"),
        ({"_type": "https://example.org/Statement"}, "no signature"), ({"subject": []}, "another file"), ({"subject": "x"}, "another file"),
        ({"subject": [{"digest": ["x"]}, 3]}, "another file"), ({"subject": [{"digest": {"sha512": "0"}}]}, "another file"),
    ):  # fmt: skip
        found = verified(LIST, enclosed(envelope(statement(LIST, **said), signer)), [signer.key])
        assert (found.signed_by, told in found.reason) == ((), True), said
    for made in (envelope(statement(LIST), signer, kind="text/plain"), {"payloadType": "application/vnd.in-toto+json"}):
        assert not verified(LIST, enclosed(made), [signer.key]).signed_by


@pytest.mark.parametrize("kind", ["p256", "ed25519"])
def test_what_a_key_signed_is_believed_in_each_shape(tmp_path: Path, kind: str) -> None:
    signer, other = Signer(tmp_path / "a", kind), Signer(tmp_path / "b", "p256")
    made = signer.sign(LIST)
    named = fingerprint(public_key(signer.key))
    old = json.dumps({"base64Signature": made.decode(), "cert": "", "rekorBundle": {}}).encode()
    for signature in (made, made + b"\n", bundle(made, LIST), old):
        found = verified(LIST, signature, [other.key, signer.key])
        assert (found.data, found.signed_by) == (LIST, (named,))
        assert verified(LIST, signature, [other.key]).reason == WRONG
        assert not verified(LIST + b"cd  os-1.1-amd64.qcow2\n", signature, [signer.key]).signed_by
    assert verified(LIST + b"x", bundle(made, LIST), [signer.key]).reason == "its bundle is of another file"
    assert verified(LIST + b"x", bundle(made, LIST + b"x"), [signer.key]).reason == WRONG


@pytest.mark.parametrize(
    ("signature", "said"),
    [
        (b"no base64!", "no base64"), (b"{", "no JSON"), (b"{}", "no signature over a file"), (b"{" * 100_000, "no JSON"),
        (b'{"messageSignature": {"signature": 3}}', "no base64"), (b'{"base64Signature": [1]}', "no base64"), (b"", ""),
        (b'{"dsseEnvelope": {}}', "no in-toto statement"), (b'{"dsseEnvelope": 1}', "no signature over a file"), (b"[1]", "no base64"),
        (b'{"messageSignature": {"messageDigest": {}}}', "another"),
    ],
)  # fmt: skip
def test_what_is_no_signature_is_said(tmp_path: Path, signature: bytes, said: str) -> None:
    found = verified(LIST, signature, [Signer(tmp_path / "a", "ed25519").key])
    assert not found.signed_by
    assert said in found.reason


def test_other_keys_are_refused(tmp_path: Path) -> None:
    for text in (Signer(tmp_path / "a", "p384").key, "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"):
        with pytest.raises(InvalidRequest, match="public_keys"):
            public_key(text)
