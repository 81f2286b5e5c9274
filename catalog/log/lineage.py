"""The lineage of an image, from the event log alone, as an in-toto statement with an SLSA provenance predicate.

Formats: in-toto Statement v1, SLSA Provenance v1. The log is evidence only while `verify_events` passes; the statement
names the log entries it was made from by their hashes, so that each can be checked.
"""

from collections.abc import Iterable, Iterator, Sequence

from catalog.errors import ImageNotFound
from catalog.log import events
from catalog.records import Conversion, Event, Origin, Provenance

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "urn:imagewright:add-image:v1"
BUILDER = "urn:imagewright"
ASKED = (
    "name", "image_type", "format", "cpu_architecture", "platform", "os", "virtio", "bios_mode", "enable_csm",
    "elastic_baremetal", "expected_checksum", "owner",
)  # fmt: skip

Json = dict[str, object]


def statement(image_id: str, events: Iterable[Event]) -> Json:
    """Return the statement about an image, from its events in order. Raises ImageNotFound if the log has none.

    Without an entry about the origin (the image is still arriving, or was adopted) the source is the requested one.
    """
    log = tuple(events)
    image = _image(image_id, log)
    origins = tuple(_origins(log))
    origin = origins[-1] if origins else None
    return {
        "_type": STATEMENT,
        "subject": list(_subjects(image, log, origin)),
        "predicateType": PREDICATE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {name: image.get(name) for name in ASKED} | {"source": image.get("source")},
                "internalParameters": {"image_id": image_id, "rule_set": origin.rule_set if origin else None},
                "resolvedDependencies": [_material(image, origin)],
            },
            "runDetails": {
                "builder": {"id": BUILDER},
                "metadata": _metadata(log),
                "byproducts": [*_conversions(origin), *_promotions(log), *_history(log)],
            },
        },
    }


def _image(image_id: str, log: Sequence[Event]) -> Json:
    """Return the image's fields after its last entry; for an expunged image, those before it."""
    fields: Json = {}
    for event in log:
        if event.subject == f"image:{image_id}":
            fields.update(event.after or event.before or {})
    if not fields:
        raise ImageNotFound(image_id)
    return fields


def _origins(log: Sequence[Event]) -> Iterator[Origin]:
    for event in log:
        if event.kind == events.IMAGE_PROVENANCE and event.after is not None:
            yield Provenance.model_validate(event.after).provenance


def _digests(fields: Json) -> Json:
    return {name: fields[name] for name in ("sha256", "md5") if fields.get(name)}


def _subjects(image: Json, log: Sequence[Event], origin: Origin | None) -> Iterator[Json]:
    """Yield the added file, then the stored files and the exports, each with its digests."""
    added = _digests(image) or (_digests(origin.model_dump()) if origin else {})
    yield {"name": image.get("name"), "digest": added, "annotations": {"format": image.get("format")}}
    for event in log:
        kind = event.subject.partition(":")[0]
        if kind in ("replica", "export") and event.after is not None and _digests(event.after):
            made = {"format": event.after.get("format"), "location": event.after.get("location")}
            yield {"name": event.subject, "digest": _digests(event.after), "annotations": made}


def _material(image: Json, origin: Origin | None) -> Json:
    if origin is None:
        return {"uri": image.get("source"), "digest": _digests(image)}
    seen = origin.model_dump(include={"address", "size_bytes", "etag", "last_modified", "checksum"})
    return {"uri": origin.url, "digest": _digests(origin.model_dump()), "annotations": seen}


def _metadata(log: Sequence[Event]) -> Json:
    done = [event for event in log if event.kind == events.IMAGE_PROVENANCE] or [log[-1]]
    return {
        "invocationId": done[-1].run_id,
        "startedOn": log[0].at.isoformat(),
        "finishedOn": done[-1].at.isoformat(),
    }


def _conversions(origin: Origin | None) -> Iterator[Json]:
    for made in origin.conversions if origin else ():
        yield {
            "name": f"conversion for {made.image_storage}",
            "digest": _digests(made.model_dump()),
            "annotations": _how(made),
        }


def _how(made: Conversion) -> Json:
    return {
        "program": made.program,
        "arguments": list(made.arguments),
        "from": made.from_format,
        "to": made.to_format,
        "proven": "a guest sees the same bytes before and after",
    }


def _promotions(log: Sequence[Event]) -> Iterator[Json]:
    """Yield each promotion of the image in a family, with its reason and the evidence of each gate."""
    for event in log:
        if event.subject.startswith("promotion:") and event.after is not None:
            yield {"name": event.subject, "digest": {"sha256": event.hash}, "annotations": event.after}


def _history(log: Sequence[Event]) -> Iterator[Json]:
    """Yield every entry of the log: hash, event, moment, actor and run."""
    for event in log:
        said = {
            "at": event.at.isoformat(),
            "subject": event.subject,
            "actor": event.actor,
            "run_id": event.run_id,
        }
        yield {
            "name": f"event {event.sequence}: {event.kind}",
            "digest": {"sha256": event.hash},
            "annotations": said,
        }
