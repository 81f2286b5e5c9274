"""The catalogue as code: applied, applied again, changed, and written back."""

from pathlib import Path
from typing import cast

import pytest
import yaml
from pydantic import ValidationError

from catalog import open_catalog
from catalog.errors import InvalidRequest
from catalog.records import CatalogueReport, Plan
from flows.command.catalogue import read, written
from flows.command.output import failures
from flows.requests import ApplyCatalogue
from flows.requests.catalogue import Catalogue, schema
from tests.services.openpgp import publisher

FILE = """
version: 1
image_storages:
- {name: far, url: "file://FOLDER/far", reserve_bytes: 0}
accounts:
- {name: web, projects: [shop], quota_images: 100}
families:
- name: debian-12
  labels: [team=web]
  keep_last: 3
  image_storages: [default, far]
- {name: debian-13}
watches:
- name: debian-12-amd64
  family: debian-12
  kind: listing
  url: https://example.org/bookworm/
  pattern: '{version}/debian-12-{arch}-{version}.qcow2'
  checksums_url: SHA512SUMS
  public_keys:
  - |
KEY
  add: {os: Debian 12, bios_mode: UEFI}
webhooks:
"""


def apply(document: object, *, plan_only: bool = False) -> CatalogueReport | Plan:
    from flows import apply_catalogue

    asked = {"catalogue": document, "plan_only": plan_only}
    return apply_catalogue(ApplyCatalogue.model_validate(asked))


def outcomes(report: CatalogueReport | Plan) -> dict[str, str]:
    assert isinstance(report, CatalogueReport)
    return {item.name: item.outcome for item in report.items}


@pytest.mark.prefect
def test_a_file_is_applied_and_given_back(home: Path, tmp_path: Path) -> None:
    key = "".join(f"    {line}\n" for line in publisher(tmp_path / "gpg" / "a").key.splitlines())
    file = tmp_path / "catalogue.yaml"
    file.write_text(FILE.replace("KEY\n", key).replace("FOLDER", str(tmp_path)))
    document = read(file)
    plan = apply(document, plan_only=True)
    assert isinstance(plan, Plan)
    assert [action.subject for action in plan.actions] == [
        "image_storages:far", "accounts:web", "families:debian-12", "families:debian-13", "watches:debian-12-amd64",
    ]  # fmt: skip
    first = apply(document)
    assert set(outcomes(first).values()) == {"set"}, failures(first)
    assert set(outcomes(apply(document)).values()) == {"unchanged"}
    assert cast("Plan", apply(document, plan_only=True)).actions == ()
    with open_catalog() as catalog:
        text = written(catalog)
        assert catalog.watch("debian-12-amd64").add == {"os": "Debian 12", "bios_mode": "UEFI"}
    given_back = yaml.safe_load(text)
    assert given_back["families"][0] == document["families"][0]  # type: ignore[index]
    assert set(outcomes(apply(given_back)).values()) == {"unchanged"}
    given_back["families"][0]["keep_last"] = 5
    given_back["families"].append({"name": "bad", "image_storages": ["nowhere"]})
    changed = apply(given_back)
    assert {name: o for name, o in outcomes(changed).items() if o != "unchanged"} == {
        "debian-12": "changed",
        "bad": "failed",
    }
    assert "no image storage 'nowhere'" in failures(changed)
    with open_catalog() as catalog:
        assert catalog.family("debian-12").keep_last == 5


def test_a_document_arrives_as_it_was_sent() -> None:
    storage = {"name": "far", "reserve_bytes": 0}
    asked = ApplyCatalogue.model_validate(
        {"catalogue": {"families": [{"name": "a", "keep_last": 3}], "image_storages": [storage]}}
    )
    sent = asked.model_dump(mode="json")
    assert sent["catalogue"]["families"] == [{"name": "a", "keep_last": 3}]
    again = ApplyCatalogue.model_validate(sent)
    assert again == asked
    assert again.catalogue.image_storages[0].model_fields_set == {"name", "reserve_bytes"}


@pytest.mark.parametrize(
    "document",
    [
        {"version": 2},
        {"familys": []},
        {"families": [{"name": "a"}, {"name": "a"}]},
        {"families": [{"name": "a", "account": "bob"}]},
        {"families": [{"name": "a", "plan_only": True}]},
        {"families": [{"name": "a", "keep_last": 0}]},
        {"watches": [{"name": "w", "family": "f", "kind": "url", "url": "https://x/", "add": {"nme": 1}}]},
        {
            "watches": [
                {"name": "w", "family": "f", "kind": "url", "url": "https://x/", "public_keys": ["/srv/key.asc"]}
            ]
        },
    ],
)
def test_a_document_that_is_wrong_is_refused_whole(document: dict[str, object]) -> None:
    with pytest.raises((ValidationError, InvalidRequest)):
        Catalogue.model_validate(document)


@pytest.mark.parametrize("text", ["- a", "a: [", "x", "\x00", "!!python/object/apply:os.system [id]"])
def test_a_file_that_is_no_catalogue_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(text)
    with pytest.raises(InvalidRequest, match=r"^file: "):
        read(file)
    with pytest.raises(InvalidRequest, match="No such file"):
        read(tmp_path / "none.yaml")


def test_the_schema_says_what_an_entry_may_say() -> None:
    definitions = cast("dict[str, dict[str, dict[str, object]]]", schema()["$defs"])
    assert "keep_last" in definitions["SetFamily"]["properties"]
    assert not {"account", "plan_only"} & {name for d in definitions.values() for name in d.get("properties", {})}
