"""The difference between two moments of the catalog, from the log entries between them, whatever the catalog's size."""

from collections.abc import Iterable, Mapping

from catalog.log.entries import Fields, fields_changed, known_fields
from catalog.log.snapshot import Snapshot
from catalog.records import Event, Record

Ends = tuple[Fields | None, Fields | None]
"""A record's fields before the first entry and after the last one; None: the record did not exist."""


class Changed(Record):
    """The fields in which one record differs."""

    subject: str
    before: Fields
    after: Fields


class Difference(Record):
    """What changed between two moments, by subject."""

    appeared: tuple[str, ...] = ()
    vanished: tuple[str, ...] = ()
    changed: tuple[Changed, ...] = ()


def difference(a: Mapping[str, Record], b: Mapping[str, Record]) -> Difference:
    """Return how `b` differs from `a`. For two moments of one log the cost is that of the entries between them."""
    if isinstance(a, Snapshot) and isinstance(b, Snapshot):
        if b.is_later(a):
            return between(b.since(a))
        if a.is_later(b):
            return _reversed(between(a.since(b)))
    old, new = dict(a.items()), dict(b.items())
    return _of({s: fields_changed(old.get(s), new.get(s)) for s in old.keys() | new.keys()})


def between(events: Iterable[Event]) -> Difference:
    """Return the total change of these entries, which are in order and without gaps."""
    ends: dict[str, Ends] = {}
    for event in events:
        if not event.note:
            known = ends.get(event.subject)
            ends[event.subject] = _further(known, event) if known else _first(event)
    return _of(ends)


def _first(event: Event) -> Ends:
    # of a new record only its appearance is kept, not its fields: there may be a million new images
    born = event.before is None
    return event.before, {} if born and event.after is not None else event.after


def _further(known: Ends, event: Event) -> Ends:
    old, new = known
    before = None if old is None else {**(event.before or {}), **old}
    if event.after is None:
        return before, None
    return before, {} if old is None else {**(new or {}), **event.after}


def _of(ends: Mapping[str, Ends]) -> Difference:
    both = (_changed(subject, old, new) for subject, (old, new) in sorted(ends.items()) if _both(old, new))
    return Difference(
        appeared=tuple(sorted(s for s, (old, new) in ends.items() if old is None and new is not None)),
        vanished=tuple(sorted(s for s, (old, new) in ends.items() if old is not None and new is None)),
        changed=tuple(changed for changed in both if changed.after),
    )


def _both(old: Fields | None, new: Fields | None) -> bool:
    return old is not None and new is not None


def _changed(subject: str, old: Fields | None, new: Fields | None) -> Changed:
    before, after = old or {}, new or {}
    names = [n for n in after if n in known_fields(subject) and before.get(n) != after[n]]
    return Changed(subject=subject, before={n: before.get(n) for n in names}, after={n: after[n] for n in names})


def _reversed(there: Difference) -> Difference:
    back = (Changed(subject=c.subject, before=c.after, after=c.before) for c in there.changed)
    return Difference(appeared=there.vanished, vanished=there.appeared, changed=tuple(back))
