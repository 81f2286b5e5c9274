"""Why a chip is kept, or is going: in words, for one chip."""

from storage.chips import epochs, finished
from storage.chips.index import as_digests, keys_of, member
from storage.chips.journal import Journal
from storage.chips.pack import object_name
from storage.chips.pins import landing_ids, manifests_chips
from storage.chips.store import ChipStore


def why(chips: ChipStore, digest: bytes) -> tuple[str, ...]:
    """Return one sentence for each thing that keeps the chip, where it lies, and whether an epoch condemned it."""
    wanted = as_digests([digest])
    sentences = [_place(chips, digest)]
    sentences += [
        f"kept: landing {landing_id} relies on it"
        for landing_id in landing_ids(chips.objects)
        if _in_landing(chips, landing_id, digest)
    ]
    for image_id, digests in manifests_chips(chips.objects):
        if (digests == wanted).all(axis=1).any():
            sentences.append(f"kept: image {image_id} needs it")
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
    return f"stored in {name} at {int(places.offset[0])}, {int(places.stored[0])} bytes"


def _in_landing(chips: ChipStore, landing_id: str, digest: bytes) -> bool:
    wanted = as_digests([digest])
    done = finished.read(chips.objects, landing_id)
    entries = [Journal(chips.objects, landing_id).read().entries, *([done.entries] if done else [])]
    return any(bool((e["digest"] == wanted).all(axis=1).any()) for e in entries if len(e))
