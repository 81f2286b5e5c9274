"""Signed statements: DSSE envelopes (v1) over in-toto, signed with the Ed25519 key of the installation.

With the public key, a statement can be verified without a catalog, by this program or any other that knows DSSE. The
signature covers the pre-authentication encoding of payload type and payload, so a payload never passes for another
type.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from catalog.errors import InvalidRequest, LineageNotProven

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

PAYLOAD_TYPE = "application/vnd.in-toto+json"
MOST_BYTES = 64 << 20
KEY_BYTES = 32


def signed(statement: Mapping[str, object], key_hex: str) -> dict[str, object]:
    """Return the envelope of a statement. key_hex: the private key, 32 bytes in hex."""
    key = _private(key_hex)
    payload = json.dumps(statement, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
    signature = key.sign(encoded(PAYLOAD_TYPE, payload))
    return {
        "payloadType": PAYLOAD_TYPE,
        "payload": base64.b64encode(payload).decode(),
        "signatures": [{"keyid": key_id(key.public_key()), "sig": base64.b64encode(signature).decode()}],
    }


def verified(envelope: bytes, public_key: bytes) -> dict[str, object]:
    """Return the statement in an envelope that the key signed. public_key: PEM.

    Raises LineageNotProven if the key did not sign exactly this, InvalidRequest for an invalid key.
    """
    key = _public(public_key)
    found = _object(envelope)
    try:
        payload = base64.b64decode(str(found["payload"]), validate=True)
        signatures = [
            base64.b64decode(str(one["sig"]), validate=True)
            for one in cast("list[dict[str, object]]", found["signatures"])
        ]
    except (KeyError, TypeError, ValueError, binascii.Error) as error:
        raise LineageNotProven("it is no DSSE envelope") from error
    if found.get("payloadType") != PAYLOAD_TYPE:
        raise LineageNotProven(f"its payload is no in-toto statement ({PAYLOAD_TYPE})")
    if not any(_is_by(key, one, encoded(PAYLOAD_TYPE, payload)) for one in signatures):
        raise LineageNotProven(f"it is not signed by key {key_id(key)}, or was changed since")
    return _object(payload)


def encoded(payload_type: str, payload: bytes) -> bytes:
    """Return the bytes to sign: DSSE's pre-authentication encoding."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def new_key() -> str:
    """Return a new random private key as hex."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.generate().private_bytes_raw().hex()


def public_pem(key_hex: str) -> str:
    """Return the public key of a private one, as PEM."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    key = _private(key_hex).public_key()
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def key_id(key: "Ed25519PublicKey") -> str:
    """Return the id of a key: SHA-256 of its DER form, hex."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def _private(key_hex: str) -> "Ed25519PrivateKey":
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(key_hex))


def _public(pem: bytes) -> "Ed25519PublicKey":
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise InvalidRequest(
            "public_key", "what the file holds", "an Ed25519 public key as PEM: `imagewright public-key` prints it"
        )
    return key


def _is_by(key: "Ed25519PublicKey", signature: bytes, data: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature

    try:
        key.verify(signature, data)
    except InvalidSignature:
        return False
    return True


def _object(data: bytes) -> dict[str, object]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise LineageNotProven("it is no JSON") from error
    if not isinstance(found, dict):
        raise LineageNotProven("it is no JSON object")
    return found
