"""The rows of the kinds of storages agree: what holds for a kind, what opens it, where its images may come from."""

from importlib import import_module
from typing import get_args

from catalog.records import ImageFormat, PrimaryKind, StorageKind, VolumeFormat
from catalog.rules.images.combinations import MEDIA
from catalog.rules.storages.kinds import KINDS, PRIMARY_KINDS
from catalog.rules.storages.sources import SCHEMES, UPLOAD
from flows.requests import AddSystemImage
from storage import registry, sources
from storage.formats.guest_disk import READERS, opener_of
from storage.formats.registry import FORMATS
from storage.formats.signatures import RAW, SIGNATURES
from storage.primary import registry as primary_registry
from storage.sources.credentials import Credentials


def test_every_address_of_a_kind_can_be_opened() -> None:
    assert {(kind, scheme) for kind, rules in KINDS.items() for scheme in rules.url_schemes} == set(registry.OPENERS)
    assert {(kind, scheme) for kind, rules in PRIMARY_KINDS.items() for scheme in rules.url_schemes} == set(
        primary_registry.OPENERS
    )


def test_every_kind_has_a_row_and_keeps_every_format() -> None:
    assert set(KINDS) == set(get_args(StorageKind))
    assert set(PRIMARY_KINDS) == set(get_args(PrimaryKind))
    assert {frozenset(rules.stored_as) for rules in KINDS.values()} == {frozenset(get_args(ImageFormat))}


def test_every_scheme_has_a_source_and_its_rules() -> None:
    assert set(SCHEMES) == set(sources.OPENERS)
    assert {scheme for rules in KINDS.values() for scheme in rules.source_schemes} == set(SCHEMES)


def test_every_source_can_be_imported() -> None:
    for place in sources.OPENERS.values():
        module, _, name = place.partition(":")
        assert callable(getattr(import_module(module), name))


def test_a_scheme_takes_of_a_secret_what_secrets_have() -> None:
    assert {name for rules in SCHEMES.values() for name in rules.secret_fields} <= set(Credentials.model_fields)


def test_every_scheme_that_people_write_is_told_in_the_form() -> None:
    path = str(AddSystemImage.model_fields["image_path"].description)
    assert all(f"{scheme}://" in path.replace("(s)", "") for scheme in SCHEMES if scheme not in ("https", UPLOAD))


def test_every_format_has_a_row_and_is_told_by_its_bytes() -> None:
    names = set(get_args(ImageFormat))
    assert set(FORMATS) == names == set(MEDIA["System"])
    assert set(MEDIA["Volume"]) == set(get_args(VolumeFormat))
    assert names - {RAW} <= {signature.format for signature in SIGNATURES}


def test_the_disk_in_every_format_that_says_its_size_can_be_read() -> None:
    assert set(READERS) == {name for name, rules in FORMATS.items() if rules.size_at is not None}
    assert all(callable(opener_of(name)) for name in FORMATS)
