"""An explanation in words of why a chip is kept, or will be deleted."""

from storage.imagestore.chip_store import ChipStore
from storage.imagestore.format import epochs, finished
from storage.imagestore.format.index import as_digests, keys_of, member
from storage.imagestore.format.journal import Journal
from storage.imagestore.format.pack import object_name
from storage.imagestore.reading.pins import landing_ids, manifests_chips
from storage.imagestore.reading.unindexed_packs import leaned_on


def why(chips: ChipStore, digest: bytes) -> tuple[str, ...]:
    """Return sentences for each reason to keep the chip, for its place, and for an epoch that condemned it."""
    wanted = as_digests([digest])
    sentences = [_place(chips, digest)]
    sentences += [
        f"kept: landing {landing_id} relies on it"
        for landing_id in landing_ids(chips.objects)
        if _in_landing(chips, landing_id, digest)
    ]
    for image_id, digests in manifests_chips(chips.objects):
        if isinstance(digests, Exception):
            sentences.append(f"kept: image {image_id} may need it; {digests}")
        elif (digests == wanted).all(axis=1).any():
            sentences.append(f"kept: image {image_id} needs it")
    sentences += _leaning_on(chips, digest)
    epoch = epochs.newest(chips.objects)
    condemned = epochs.condemned(chips.objects, epoch)
    if condemned is not None and member(condemned.keys, keys_of(wanted)).any():
        sentences.append(f"condemned in epoch {epoch}: nothing needed it then")
    if len(sentences) == 1 and not sentences[0].startswith("not stored"):
        sentences.append("garbage: no image and no landing needs it; the next reclaim may free it")
    return tuple(sentences)


def _place(chips: ChipStore, digest: bytes) -> str:
    places = chips.load_view().locate(as_digests([digest]))
    if places.missing[0]:
        return "not stored: no index names it"
    name = object_name(places.packs[places.pack[0]].tobytes())
    how = ", in a chain that leans on other chips" if places.leaning[0] else ""
    return f"stored in {name} at {int(places.offset[0])}, {int(places.stored[0])} bytes{how}"


def _leaning_on(chips: ChipStore, digest: bytes) -> list[str]:
    """Say how many packs have chains leaning on the chip."""
    key = keys_of(as_digests([digest]))
    packs = chips.load_view().leaning_packs()
    count = sum(bool(member(leaned_on(chips.objects, [name]), key).any()) for name in packs)
    return [f"kept: chains in {count} packs lean on it"] if count else []


def _in_landing(chips: ChipStore, landing_id: str, digest: bytes) -> bool:
    wanted = as_digests([digest])
    done = finished.read(chips.objects, landing_id)
    entries = [Journal(chips.objects, landing_id).read().entries, *([done.entries] if done else [])]
    return any(bool((e["digest"] == wanted).all(axis=1).any()) for e in entries if len(e))
