"""The seal at the end of each small object: whatever happened to its bytes is noticed, and told without a blank."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.errors import DigestMismatch
from storage.imagestore.format.seal import SEAL_BYTES, sealed, unsealed

HEAD_BYTES = 12
BODIES = st.binary(min_size=HEAD_BYTES, max_size=100)


@given(BODIES)
def test_what_was_sealed_comes_back(body: bytes) -> None:
    assert unsealed("a manifest", sealed(body), HEAD_BYTES) == body


@given(BODIES, st.data())
def test_a_cut_object_is_noticed(body: bytes, data: st.DataObject) -> None:
    whole = sealed(body)
    size = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(DigestMismatch) as told:
        unsealed("a manifest", whole[:size], HEAD_BYTES)
    least = HEAD_BYTES + SEAL_BYTES
    if size < least:
        assert (told.value.expected, told.value.actual) == (f"{least} bytes or more", f"{size} bytes")
    assert told.value.expected
    assert told.value.actual


@given(BODIES, st.data())
def test_a_flipped_bit_is_noticed(body: bytes, data: st.DataObject) -> None:
    whole = bytearray(sealed(body))
    whole[data.draw(st.integers(0, len(whole) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(DigestMismatch):
        unsealed("a manifest", bytes(whole), HEAD_BYTES)
