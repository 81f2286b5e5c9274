"""Cosign's signatures of a file, verified with a public key alone: no certificate, no log, no request.

| signature | format |
|---|---|
| `cosign sign-blob` | base64 of the signature |
| its bundle until version 2 | JSON with `base64Signature` |
| Sigstore's bundle, v0.1 to v0.3 | JSON with `messageSignature`: the digest of the file, and the signature |
| | or with `dsseEnvelope` (DSSE v1): a signed in-toto statement that names the file by its SHA-256 |
| the envelope alone | the same (`cosign attest-blob`) |

A statement counts as a signature only if it states that the file was signed or built (`PREDICATES`): a list of parts or
a vulnerability scan is signed by the same key, and does not vouch for the file.

Keys are PEM (`-----BEGIN PUBLIC KEY-----`): ECDSA on P-256 with SHA-256 or Ed25519. A key is named by the SHA-256 of
its DER.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping, Sequence

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from catalog.errors import InvalidRequest
from catalog.log.envelope import PAYLOAD_TYPE, encoded
from catalog.rules.promotion.watches import is_sigstore_key
from storage.programs.gpgv import Signed

ALLOWED = "PEM of an ECDSA key on P-256 or of an Ed25519 key, as cosign.pub is"
WRONG = "its signature is wrong: it is not what was signed, or signed by another key than those given"
OTHER = "its bundle is of another file"
STATEMENTS = ("https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v0.1")
PREDICATES = (
    "https://sigstore.dev/cosign/sign/v1",
    "https://slsa.dev/provenance/v1",
    "https://slsa.dev/provenance/v0.2",
)
MOST_SIGNATURES = 16
Key = EllipticCurvePublicKey | Ed25519PublicKey


def public_key(text: str) -> Key:
    """Parse a key. Raises InvalidRequest."""
    try:
        key = load_pem_public_key(text.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InvalidRequest("public_keys", f"{text[:30]!r}…", ALLOWED) from error
    if isinstance(key, Ed25519PublicKey) or (
        isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1)
    ):
        return key
    raise InvalidRequest("public_keys", type(key).__name__, ALLOWED)


def fingerprint(key: Key) -> str:
    """Return the fingerprint that names a key."""
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return f"SHA256:{hashlib.sha256(der).hexdigest()}"


def verified(data: bytes, signature: bytes, keys: Sequence[str]) -> Signed:
    """Return whether keys signed the data, and which.

    keys: in PEM, others are ignored. Raises InvalidRequest for invalid keys.
    """
    try:
        message, made = _made(signature, data)
    except ValueError as error:
        return Signed(reason=str(error))
    known = map(public_key, filter(is_sigstore_key, keys))
    good = tuple(fingerprint(key) for key in known if any(_is_good(key, one, message) for one in made))
    return Signed(data, good) if good else Signed(reason=WRONG)


def _is_good(key: Key, signature: bytes, data: bytes) -> bool:
    try:
        if isinstance(key, Ed25519PublicKey):
            key.verify(signature, data)
        else:
            key.verify(signature, data, ECDSA(SHA256()))
    except InvalidSignature:
        return False
    return True


def _made(text: bytes, data: bytes) -> tuple[bytes, Sequence[bytes]]:
    """Return the bytes signed for the data, and the published signatures. Raises ValueError with a sentence."""
    if not text.lstrip().startswith(b"{"):
        return data, [_decoded(text.decode("ascii", "replace").strip())]
    bundle = _object(text, "its bundle is no JSON")
    if "base64Signature" in bundle:
        return data, [_decoded(bundle["base64Signature"])]
    envelope = bundle.get("dsseEnvelope", bundle if "payloadType" in bundle else None)
    if isinstance(envelope, dict):
        return _of_envelope(envelope, hashlib.sha256(data).hexdigest())
    message = bundle.get("messageSignature")
    if not isinstance(message, dict):
        raise ValueError("its bundle has no signature over a file")
    said = message.get("messageDigest")
    known = ("SHA2_256", hashlib.sha256(data).digest())
    if isinstance(said, dict) and (said.get("algorithm"), _decoded(said.get("digest"))) != known:
        raise ValueError(OTHER)
    return data, [_decoded(message.get("signature"))]


def _of_envelope(envelope: Mapping[str, object], digest: str) -> tuple[bytes, Sequence[bytes]]:
    """Return the bytes signed by an envelope, if its statement names a file of this digest and vouches for it."""
    if envelope.get("payloadType") != PAYLOAD_TYPE:
        raise ValueError("its envelope holds no in-toto statement")
    payload = _decoded(envelope.get("payload"))
    statement = _object(payload, "its statement is no JSON")
    kind = statement.get("predicateType")
    if statement.get("_type") not in STATEMENTS or kind not in PREDICATES:
        raise ValueError(
            f"its statement says {str(kind)[:100]!r} of the file, which is no signature; known are {', '.join(PREDICATES)}"
        )
    if digest not in (_sha256(one) for one in _listed(statement.get("subject"))):
        raise ValueError(OTHER)
    signatures = _listed(envelope.get("signatures"))[:MOST_SIGNATURES]
    return encoded(PAYLOAD_TYPE, payload), [_decoded(one.get("sig")) for one in signatures if isinstance(one, dict)]


def _sha256(subject: object) -> object:
    digests = subject.get("digest") if isinstance(subject, dict) else None
    return digests.get("sha256") if isinstance(digests, dict) else None


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _object(text: bytes, sentence: str) -> Mapping[str, object]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(sentence) from error
    if not isinstance(found, dict):
        raise ValueError(sentence)
    return found


def _decoded(text: object) -> bytes:
    try:
        return base64.b64decode(str(text), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("its signature is no base64") from error
