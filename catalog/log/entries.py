"""Entries of the event log: chaining them by hashes, and replaying them into records."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import NamedTuple

from catalog.errors import LogDamaged
from catalog.records import Event, Record
from catalog.store.record_kinds import RECORD_KINDS, RecordKind, image_of

Fields = dict[str, object]
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)
KIND_OF: Mapping[str, RecordKind[Record]] = {kind.prefix: kind for kind in RECORD_KINDS if kind.logged}
"""Subject prefix in the log → kind of record."""
_FIELDS: Mapping[str, frozenset[str]] = {p: frozenset(kind.record.model_fields) for p, kind in KIND_OF.items()}


LATER = ("note", "identity", "door")
"""Fields added to entries later: an empty one is not hashed, so that older entries keep their hash."""


class Acting(NamedTuple):
    """Who writes an entry. actor: the account; identity, door: see `Event`."""

    actor: str
    run_id: str | None = None
    identity: str | None = None
    door: str | None = None


def digest(event: Event) -> str:
    """Return the SHA-256 of an entry without its `hash`, over canonical JSON."""
    unsaid = {name for name in LATER if not getattr(event, name)}
    content = event.model_dump(mode="json", exclude={"hash", *unsaid})
    return hashlib.sha256(_CANONICAL.encode(content).encode()).hexdigest()


def sealed(event: Event) -> Event:
    """Return the entry with its hash filled in."""
    return event.model_copy(update={"hash": digest(event)})


def fields_changed(before: Record | None, after: Record | None) -> tuple[Fields | None, Fields | None]:
    """Return an entry's `before` and `after`: whole records at creation and removal, otherwise the changed fields."""
    old = before.model_dump(mode="json") if before is not None else None
    new = after.model_dump(mode="json") if after is not None else None
    if old is None or new is None:
        return old, new
    changed = [name for name in new if old.get(name) != new[name]]
    return {name: old.get(name) for name in changed}, {name: new[name] for name in changed}


def verified(events: Iterable[Event]) -> Iterator[Event]:
    """Yield the entries of a whole log while the chain holds. Raises LogDamaged at the first entry that breaks it."""
    sequence, previous = 0, ""
    for event in events:
        if event.sequence != sequence + 1:
            raise LogDamaged(sequence + 1, f"the next entry there is {event.sequence}")
        if event.previous_hash != previous:
            raise LogDamaged(event.sequence, "it does not follow from the entry before it")
        if event.hash != digest(event):
            raise LogDamaged(event.sequence, "its content does not match its hash")
        sequence, previous = event.sequence, event.hash
        yield event


def folded(state: Fields | None, event: Event) -> Fields | None:
    """Return a record's fields after one more entry about it; None: the record does not exist."""
    if event.note:
        return state
    if event.after is not None:
        return {**(state or {}), **event.after}
    return None if event.before is not None else state


def known_fields(subject: str) -> frozenset[str]:
    """Return the field names of a subject's record class."""
    return _FIELDS[subject.partition(":")[0]]


def record_of(subject: str, state: Fields) -> Record:
    """Return the record for a subject's fields in the log."""
    fields = known_fields(subject)
    if not state.keys() <= fields:  # a field that the record class no longer has
        state = {name: value for name, value in state.items() if name in fields}
    return KIND_OF[subject.partition(":")[0]].record.model_validate(state)


def entry(
    last: Event | None,
    at: datetime,
    kind: str,
    subject: str,
    by: Acting,
    before: Record | None,
    after: Record | None,
    note: bool = False,
) -> Event:
    """Return the next entry of the log after `last`."""
    old, new = fields_changed(before, after)
    about = after if after is not None else before
    image_id = (image_of(about) if about is not None else None) or image_named(subject)
    return sealed(
        Event(
            sequence=last.sequence + 1 if last else 1,
            at=at,
            kind=kind,
            subject=subject,
            image_id=image_id,
            actor=by.actor,
            run_id=by.run_id,
            identity=by.identity,
            door=by.door,
            before=old,
            after=new,
            note=note,
            previous_hash=last.hash if last else "",
        )
    )


def image_named(subject: str) -> str | None:
    """Return the image id in a subject that names an image or a replica."""
    prefix, _, name = subject.partition(":")
    return name.partition("@")[0] if prefix in ("image", "replica") else None
