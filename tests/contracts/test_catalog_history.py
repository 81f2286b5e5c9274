"""The event log of every catalog: complete, chained, and enough to rebuild any moment."""

from datetime import UTC, timedelta

import pytest

from catalog import errors
from catalog.log.difference import difference
from catalog.log.entries import digest
from catalog.records import Account, Event, Image, ItemOutcome, Replica
from catalog.repository.catalog import Catalog
from catalog.store.memory import MemoryStore
from catalog.store.record_kinds import EVENT, IMAGE
from catalog.store.sql import SqlStore
from tests.catalog.samples import START, Ticking, a_replica, an_export, an_image, saved


def test_every_change_is_logged_with_who_did_it_before_and_after(catalog: Catalog) -> None:
    image = an_image(name="one", owner="bob")
    with catalog.changing(actor="bob", run_id="run-1") as change:
        first = change.save_image(image, event="imagewright.image.adding")
        change.save_replica(a_replica(image))
    with catalog.changing(actor="eve", run_id="run-2") as change:
        change.save_image(first.model_copy(update={"name": "two"}), event="imagewright.image.edited")
    added, replica, edited = catalog.events(image.id)
    assert [e.kind for e in (added, replica)] == ["imagewright.image.adding", "imagewright.replica.added"]
    assert (added.actor, added.run_id, added.subject) == ("bob", "run-1", f"image:{image.id}")
    assert added.before is None
    assert Image.model_validate(added.after) == first
    assert replica.subject == f"replica:{image.id}@default"
    assert (edited.actor, edited.kind) == ("eve", "imagewright.image.edited")
    assert (edited.before or {})["name"] == "one"
    assert (edited.after or {})["name"] == "two"
    assert set(edited.after or {}) == {"name", "version", "updated_at"}


def test_what_is_gone_is_still_in_the_log(catalog: Catalog) -> None:
    (image,) = saved(catalog, an_image(name="gone"))
    with catalog.changing(actor="admin") as change:
        change.remove_image(image.id)
    *_, last = catalog.events(image.id)
    assert last.kind == "imagewright.image.expunged"
    assert last.after is None
    assert Image.model_validate(last.before) == image


def test_an_event_needs_no_record(catalog: Catalog) -> None:
    (image,) = saved(catalog, an_image())
    with catalog.changing(actor="admin") as change:
        event = change.record("imagewright.replica.damaged", f"replica:{image.id}@default")
    assert event.image_id == image.id
    assert list(catalog.events(image.id, since=event.sequence - 1)) == [event]
    assert list(catalog.events(since=event.sequence)) == []
    assert catalog.snapshot()[f"image:{image.id}"] == image


def test_a_note_that_looks_like_a_record_changes_none(catalog: Catalog) -> None:
    (image,) = saved(catalog, an_image(name="kept"))
    subject = f"image:{image.id}"
    with catalog.changing(actor="admin") as change:
        note = change.record("test.note", subject, after=ItemOutcome(subject="\0", outcome="failed", reason="x"))
        change.record("test.note", subject, before=image, after=image.model_copy(update={"name": "other"}))
        change.record("test.note", subject, before=image)
    assert (note.note, note.image_id) == (True, image.id)
    assert catalog.snapshot()[subject] == image
    assert catalog.verify_tables() == 3
    assert catalog.verify_events()


def test_saving_what_is_already_there_logs_nothing(catalog: Catalog) -> None:
    (image,) = saved(catalog, an_image())
    with catalog.changing(actor="admin") as change:
        change.save_replica(a_replica(image))
        change.save_replica(a_replica(image))
    assert [e.kind for e in catalog.events(image.id)][1:] == ["imagewright.replica.added"]


def test_the_moment_of_the_log_never_goes_back(catalog: Catalog, clock: Ticking) -> None:
    saved(catalog, an_image())
    clock.now -= timedelta(days=1)  # another host's clock is late
    saved(catalog, an_image())
    moments = [e.at for e in catalog.events()]
    assert moments == sorted(moments)


def test_a_snapshot_is_the_catalog_at_that_moment(catalog: Catalog, clock: Ticking) -> None:
    (image,) = saved(catalog, an_image(name="one", size_bytes=5))
    with catalog.changing(actor="admin") as change:
        change.save_replica(a_replica(image))
        change.save_export(an_export(image, id="e"))
    before = clock.now
    with catalog.changing(actor="admin") as change:
        later = change.save_image(image.model_copy(update={"name": "two"}))
        change.remove_export("e")
    then, now = catalog.snapshot(before), catalog.snapshot()
    assert then[f"image:{image.id}"] == image
    assert now[f"image:{image.id}"] == catalog.image(image.id) == later
    assert "export:e" in then
    assert "export:e" not in now
    assert now[f"replica:{image.id}@default"] == catalog.replica(image.id, "default")
    assert now["image_storage:default"] == catalog.image_storage("default")
    assert len(catalog.snapshot(before - timedelta(days=1))) == 0
    differs = catalog.difference(before, clock.now)
    assert differs == catalog.difference(then, now)
    assert differs.vanished == ("export:e",)
    assert differs.appeared == ()
    (changed,) = differs.changed
    assert (changed.subject, changed.before["name"], changed.after["name"]) == (
        f"image:{image.id}",
        "one",
        "two",
    )


def test_an_untouched_log_verifies(catalog: Catalog) -> None:
    saved(catalog, *(an_image(name=f"名 {n}") for n in range(5)))
    catalog._page_size = 3
    assert catalog.verify_events() == 2 + 5


def tamper(catalog: Catalog, sequence: int, **fields: object) -> None:
    store = catalog._store
    if isinstance(store, MemoryStore):
        with store.writing() as transaction:
            event = transaction.get(EVENT, (sequence,))
            assert event is not None
            transaction.update(EVENT, Event.model_validate(event.model_dump() | fields))
        return
    assert isinstance(store, SqlStore)
    with store.writing() as sql:
        event = sql.get(EVENT, (sequence,))
        assert event is not None
        sql.update(EVENT, Event.model_validate(event.model_dump() | fields))


def test_a_changed_entry_shows(catalog: Catalog) -> None:
    saved(catalog, *(an_image() for _ in range(5)))
    tamper(catalog, 4, actor="somebody else")
    with pytest.raises(errors.LogDamaged, match=r"event 4 .* does not match its hash") as caught:
        catalog.verify_events()
    assert caught.value.sequence == 4


def test_a_changed_entry_with_a_new_hash_shows(catalog: Catalog) -> None:
    saved(catalog, *(an_image() for _ in range(5)))
    event = list(catalog.events())[3].model_copy(update={"actor": "somebody else"})
    tamper(catalog, 4, actor="somebody else", hash=digest(event))
    with pytest.raises(errors.LogDamaged, match=r"event 5 .* does not follow"):
        catalog.verify_events()


def test_a_missing_entry_shows(catalog: Catalog) -> None:
    saved(catalog, *(an_image() for _ in range(5)))
    with catalog._store.writing() as transaction:
        transaction.delete(EVENT, (3,))
    with pytest.raises(errors.LogDamaged, match=r"event 3 .* next entry there is 4"):
        catalog.verify_events()


def test_times_keep_their_microseconds_and_are_utc(catalog: Catalog, clock: Ticking) -> None:
    clock.now += timedelta(microseconds=123457)
    (image,) = saved(catalog, an_image())
    read = catalog.image(image.id)
    assert read.updated_at == image.updated_at
    assert read.updated_at.microsecond == 123457
    assert read.updated_at.tzinfo is UTC or read.updated_at.utcoffset() == timedelta(0)


def test_tables_and_log_agree(catalog: Catalog) -> None:
    one, two = saved(catalog, an_image(), an_image())
    with catalog.changing(actor="admin") as change:
        change.save_replica(a_replica(one))
        change.save_replica(a_replica(two))
        change.save_export(an_export(one, id="e"))
        change.save_account(Account(name="bob", created_at=START))
    assert catalog.verify_tables() == 2 + 6
    assert set(catalog.snapshot()) == {
        f"image:{one.id}", f"image:{two.id}", f"replica:{one.id}@default", f"replica:{two.id}@default",
        "export:e", "account:bob", "image_storage:default", "primary_storage:default",
    }  # fmt: skip


def test_a_snapshot_is_read_in_pages_one_type_by_subject(catalog: Catalog) -> None:
    images = saved(catalog, *(an_image(id=f"i{n}") for n in range(7)))
    with catalog.changing(actor="admin") as change:
        for image in images:
            change.save_replica(a_replica(image))
        change.remove_replica("i3", "default")
        change.remove_image("i3")
    catalog._page_size = 3
    then = catalog.snapshot()
    saved(catalog, an_image(id="i9"))
    left = [catalog.image(f"i{n}") for n in range(7) if n != 3]
    assert list(then.records(Image)) == left
    assert list(then.records(Image, after="image:i2")) == left[3:]
    assert len(list(then.records(Replica))) == 6
    assert list(then.values()) == [then[subject] for subject in then]
    assert len(then) == len(dict(then.items())) == 6 + 6 + 2
    with pytest.raises(KeyError):
        then["image:i9"]


def test_a_difference_says_what_it_came_to(catalog: Catalog, clock: Ticking) -> None:
    kept, gone, back = saved(catalog, *(an_image(id=name, name="old") for name in ("kept", "gone", "back")))
    before = clock.now
    with catalog.changing(actor="admin") as change:
        for name in ("new", "newer"):
            kept = change.save_image(kept.model_copy(update={"name": name}))
        for image in (gone, back):
            change.save_image(image.model_copy(update={"os": "x"}))
            change.remove_image(image.id)
        change.save_image(an_image(id="back", name="again"))
        change.save_image(an_image(id="fleeting"))
        change.remove_image("fleeting")
        change.save_image(change.save_image(an_image(id="born")))
    there, home = catalog.difference(before, clock.now), catalog.difference(clock.now, before)
    then, now = dict(catalog.snapshot(before).items()), dict(catalog.snapshot().items())
    assert (there, home) == (difference(then, now), difference(now, then))
    assert (there.appeared, there.vanished) == (("image:born",), ("image:gone",))
    assert [(c.subject, c.before["name"], c.after["name"]) for c in there.changed] == [
        ("image:back", "old", "again"), ("image:kept", "old", "newer")
    ]  # fmt: skip


def test_what_was_cut_off_the_log_shows_in_the_tables(catalog: Catalog) -> None:
    saved(catalog, an_image())
    saved(catalog, an_image(id="cut"))
    with catalog._store.writing() as transaction:
        transaction.delete(EVENT, (4,))
    assert catalog.verify_events() == 3  # the chain of what is left is whole
    with pytest.raises(errors.RecordNotLogged, match=r"image:cut .* the log doesn't"):
        catalog.verify_tables()


def test_what_was_changed_past_the_log_shows(catalog: Catalog) -> None:
    one, two = saved(catalog, an_image(id="one"), an_image(id="two"))
    with catalog._store.writing() as transaction:
        transaction.update(IMAGE, one.model_copy(update={"md5": "f" * 32}))
    with pytest.raises(errors.RecordNotLogged, match=r"image:one .* something else"):
        catalog.verify_tables()
    with catalog._store.writing() as transaction:
        transaction.update(IMAGE, one)
        transaction.delete(IMAGE, (two.id,))
    with pytest.raises(errors.RecordNotLogged, match=r"image:two .* the catalog doesn't") as caught:
        catalog.verify_tables()
    assert caught.value.subject == "image:two"
