"""The gates: each refuses what it is there for, and says what it saw."""

from dataclasses import replace
from datetime import timedelta

import pytest

from catalog.records import ContentsSeen, Finding, Image, QualityCheck, QualityReport, SignatureSeen, Verdict
from catalog.rules.promotion.gates import GATES, Seen, failed, judged, reaches
from tests.catalog.rules.promotion.builds import NOW, a_build, a_family, booted

IMAGE = a_build(expected_checksum="sha256:" + "ab" * 32)
CLEAN = ContentsSeen(guest_os="Debian GNU/Linux 12", packages=300)
KEY = Finding(rule="contents.host-key", rule_version=1, severity="error", sentence="a host key is there")
SIGNED = SignatureSeen(list_url="https://example.org/SHA256SUMS", checksum="sha256:" + "ab" * 32, signed_by=("F" * 40,))
RULES = a_family(
    image_storages=("near", "far"),
    boot_check="boots",
    signature="required",
    hygiene="refuse",
    soak_hours=24,
    approval=True,
)  # of each gate
WELL = Seen(NOW, booted(IMAGE), ("near", "far"), NOW - timedelta(hours=25), SIGNED, CLEAN)


def test_a_build_that_is_proven_passes_every_gate() -> None:
    evidence = judged(RULES, IMAGE, WELL)
    assert [one.gate for one in evidence] == list(GATES)
    assert failed(evidence) == ()
    assert all(one.sentence for one in evidence)


def test_a_family_asks_for_no_more_than_its_rules_say() -> None:
    assert [one.gate for one in judged(a_family(), IMAGE, Seen(NOW))] == ["digest", "format", "quality"]


UNSAFE = Finding(rule="qcow2.backing-file", rule_version=1, severity="error", sentence="it names a backing file")
BAD = QualityReport(
    suite="s", success=False, checks=(QualityCheck(name="n", success=False, sentence="odd"),), checked_at=NOW
)
REFUSED: dict[str, tuple[Image, Seen, str]] = {
    "digest": (IMAGE.model_copy(update={"sha256": None}), WELL, "no SHA-256"),
    "format": (
        IMAGE.model_copy(
            update={"verdict": Verdict(format="qcow2", virtual_size_bytes=1, rule_set="1", findings=(UNSAFE,))}
        ),
        WELL,
        "it names a backing file",
    ),
    "quality": (IMAGE.model_copy(update={"quality": BAD}), WELL, "odd"),
    "signature": (IMAGE.model_copy(update={"expected_checksum": "sha256:00"}), WELL, "no signature over its checksum"),
    "storages": (IMAGE, replace(WELL, storages=("near",)), "not whole on far"),
    "boot": (
        IMAGE,
        replace(WELL, boot=booted(IMAGE, well=False)),
        "did not boot in Legacy mode on x86_64: nothing but",
    ),
    "hygiene": (IMAGE, replace(WELL, contents=ContentsSeen(findings=(KEY,))), "a host key is there"),
    "soak": (IMAGE, replace(WELL, ready_at=NOW - timedelta(hours=23), by_person=False), "Ready for 23.0 of 24 hours"),
    "approval": (IMAGE, replace(WELL, by_person=False), "nobody promoted it yet"),
}


def test_every_gate_is_tried() -> None:
    assert set(REFUSED) == set(GATES)


@pytest.mark.parametrize("gate", REFUSED)
def test_a_gate_refuses_what_it_is_there_for(gate: str) -> None:
    image, seen, sentence = REFUSED[gate]
    rules = RULES if gate in ("soak", "approval") else RULES.model_copy(update={"approval": False, "soak_hours": 0})
    refused = {one.gate: one.sentence for one in failed(judged(rules, image, seen))}
    assert sentence in refused[gate]
    assert set(refused) - {gate} <= {"approval"}


@pytest.mark.parametrize(
    ("image", "gate"),
    [
        (IMAGE.model_copy(update={"verdict": None}), "format"),
        (IMAGE.model_copy(update={"quality": None}), "quality"),
        (IMAGE, "boot"),
    ],
)
def test_what_nobody_looked_at_is_not_passed(image: Image, gate: str) -> None:
    seen = replace(WELL, boot=None)
    assert gate in [one.gate for one in failed(judged(RULES, image, seen))]


def test_a_person_decides_on_soak_and_it_is_on_record() -> None:
    evidence = {one.gate: one for one in judged(RULES, IMAGE, replace(WELL, ready_at=NOW))}
    assert (evidence["soak"].passed, evidence["soak"].sentence) == (
        True,
        "Ready for 0.0 of 24 hours; decided by a person",
    )


def test_a_boot_counts_as_far_as_it_was_watched_and_with_the_command_of_the_family() -> None:
    rules = RULES.model_copy(update={"boot_check": "cloud-init", "boot_command": "uname"})
    here = booted(IMAGE)
    for until, command, counts in (
        ("login", "", False), ("cloud-init", "", False), ("cloud-init", "id", False), ("cloud-init", "uname", True),
    ):  # fmt: skip
        report = here.model_copy(update={"until": until, "command": command})
        assert reaches(report, rules) is counts
        sentences = {one.gate: one.sentence for one in failed(judged(rules, IMAGE, replace(WELL, boot=report)))}
        assert ("boot" not in sentences) is counts
        assert counts or "not booted yet until cloud-init is done" in sentences["boot"]
    assert reaches(booted(IMAGE, well=False), rules)
    assert not reaches(booted(IMAGE, well=False).model_copy(update={"command": "id"}), rules)


def test_hygiene_that_only_warns_tells_and_passes() -> None:
    warned = RULES.model_copy(update={"hygiene": "warn"})
    for contents, said in ((ContentsSeen(findings=(KEY,)), "a host key is there"), (None, "nobody looked inside yet")):
        evidence = {one.gate: one for one in judged(warned, IMAGE, replace(WELL, contents=contents))}
        assert (evidence["hygiene"].passed, evidence["hygiene"].sentence) == (True, said)
    unread = replace(WELL, contents=ContentsSeen(unread=("btrfs can't be read here",)))
    assert [one.gate for one in failed(judged(RULES, IMAGE, unread))] == ["hygiene"]
    assert "hygiene" not in [one.gate for one in judged(RULES, IMAGE.model_copy(update={"image_type": "Volume"}), WELL)]
