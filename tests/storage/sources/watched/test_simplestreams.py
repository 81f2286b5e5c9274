"""Simplestreams indexes: what they say, and what is refused of them."""

import json

import pytest

from catalog.errors import SourceForbidden
from storage.sources.urls import parse_url
from storage.sources.watched.simplestreams import items_in, products_in, root_of, within

SHA = "ab" * 32


def products(**item: object) -> bytes:
    versions = {"20240507": {"items": {"disk1.img": {"path": "server/x.img", "sha256": SHA, **item}}}}
    return json.dumps({"format": "products:1.0", "products": {"p": {"arch": "amd64", "versions": versions}}}).encode()


def test_items_have_version_path_architecture_and_digest() -> None:
    (item,) = items_in(products(), "x")
    assert (item.version, item.path, item.arch, item.sha256) == ("20240507", "server/x.img", "amd64", SHA)


@pytest.mark.parametrize("item", [{"sha256": "zz" * 32}, {"sha256": "ab"}, {"sha256": None}, {"path": 5}, {"path": ""}])
def test_an_item_without_a_digest_or_path_is_none(item: dict[str, object]) -> None:
    assert list(items_in(products(**item), "x")) == []


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        b'{"format": "index:2.0"}',
        b"[" * 100_000,
        b"\xff",
        b'{"format": "products:1.0", "products": []}',
    ],
)
def test_what_is_no_index_is_refused_or_empty(data: bytes) -> None:
    with pytest.raises(SourceForbidden):
        products_in(data, "x")
    if b"products" not in data:
        with pytest.raises(SourceForbidden):
            list(items_in(data, "x"))


def test_an_index_names_files_of_images_only() -> None:
    entries = {
        "a": {"path": "streams/v1/a.json", "datatype": "image-downloads"},
        "b": {"path": "b", "datatype": "image-ids"},
        "c": 5,
    }
    assert products_in(json.dumps({"format": "index:1.0", "index": entries}).encode(), "x") == ("streams/v1/a.json",)


@pytest.mark.parametrize(
    "path", ["../x", "/x", "a//b", "https://evil/x", "a/%2e%2e/b", "a\\b", "a?b", "a#b", "", "a\nb"]
)
def test_a_path_that_leads_elsewhere_is_refused(path: str) -> None:
    with pytest.raises(SourceForbidden, match="leads elsewhere"):
        within("https://example.org/r/", path, "x")


def test_paths_are_relative_to_what_streams_lies_in() -> None:
    root = root_of(parse_url("https://example.org/releases/streams/v1/index.json"))
    assert (
        within(root, "images/a/20240507_05:24/disk.qcow2", "x")
        == "https://example.org/releases/images/a/20240507_05:24/disk.qcow2"
    )
    with pytest.raises(SourceForbidden, match="has /streams/ in it"):
        root_of(parse_url("https://example.org/index.json"))
