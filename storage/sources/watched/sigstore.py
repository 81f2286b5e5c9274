"""Signatures as cosign makes them over a file, checked with a public key alone: no certificate, no log, no call.

| signature | what it is |
|---|---|
| `cosign sign-blob` | base64 of the signature |
| its bundle until version 2 | JSON with `base64Signature` |
| Sigstore's bundle, v0.1 to v0.3 | JSON with `messageSignature`: the digest of the file, and the signature |

Keys are PEM (`-----BEGIN PUBLIC KEY-----`): ECDSA on P-256 with SHA-256 or Ed25519. A key is named by the SHA-256 of its DER.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Sequence

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from catalog.errors import InvalidRequest
from catalog.rules.promotion.watches import is_sigstore_key
from storage.programs.gpgv import Signed

ALLOWED = "PEM of an ECDSA key on P-256 or of an Ed25519 key, as cosign.pub is"
WRONG = "its signature is wrong: it is not what was signed, or signed by another key than those given"
Key = EllipticCurvePublicKey | Ed25519PublicKey


def public_key(text: str) -> Key:
    """Return a key. Raises InvalidRequest."""
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
    """Return what a key is named by."""
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return f"SHA256:{hashlib.sha256(der).hexdigest()}"


def verified(data: bytes, signature: bytes, keys: Sequence[str]) -> Signed:
    """Return whether keys signed the data, and which. keys: in PEM, others are left out. Raises InvalidRequest for keys that are none."""
    try:
        made = _signature(signature, hashlib.sha256(data).digest())
    except ValueError as error:
        return Signed(reason=str(error))
    good = tuple(
        fingerprint(key) for key in map(public_key, filter(is_sigstore_key, keys)) if _is_good(key, made, data)
    )
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


def _signature(text: bytes, digest: bytes) -> bytes:
    """Return the signature within what was published. Raises ValueError with a sentence."""
    if not text.lstrip().startswith(b"{"):
        return _decoded(text.decode("ascii", "replace").strip())
    try:
        bundle = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError("its bundle is no JSON") from error
    if "base64Signature" in bundle:
        return _decoded(bundle["base64Signature"])
    message = bundle.get("messageSignature")
    if not isinstance(message, dict):
        raise ValueError("its bundle has no signature over a file")
    said = message.get("messageDigest")
    if isinstance(said, dict) and (said.get("algorithm"), _decoded(said.get("digest"))) != ("SHA2_256", digest):
        raise ValueError("its bundle is of another file")
    return _decoded(message.get("signature"))


def _decoded(text: object) -> bytes:
    try:
        return base64.b64decode(str(text), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("its signature is no base64") from error
