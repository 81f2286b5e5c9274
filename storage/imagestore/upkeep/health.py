"""Damage in a store other than to manifests and chips' bytes: found without reading packs, repaired if derivable."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from catalog.errors import DigestMismatch
from storage.abilities import Ailment
from storage.imagestore.chip_store import ChipStore
from storage.imagestore.format import damage_marks as damage
from storage.imagestore.format import epochs, index, pack, parameters, verdict
from storage.imagestore.format.index import U1, U8, Flags, Table, joined_by_size
from storage.imagestore.format.manifest import ManifestHeader, Pieces
from storage.imagestore.format.names import numbers
from storage.imagestore.format.pack import RECORD, object_name
from storage.imagestore.format.seal import unsealed
from storage.imagestore.reading import manifests
from storage.imagestore.reading.unindexed_packs import leaning_on, needed_loose
from storage.imagestore.reading.view import Located, View
from storage.protocols import ObjectStore

NAMED = 3  # objects of a kind that are named; the others are counted


def ailments(chips: ChipStore) -> Iterator[Ailment]:
    """Yield each defect, changing nothing."""
    objects, view = chips.objects, chips.view_as_it_is()
    if wrong := parameters.differs(objects):
        yield Ailment(subject=parameters.NAME, damage=wrong, cure="the one that is whole is written over the other")
    found = joined_by_size(tuple(needed_loose(objects, view)))
    if view.unreadable:
        cure = "rebuilt from the packs: every chip that an image needs and a pack holds is found again"
        yield Ailment(subject="index", damage=f"{_in_words(view.unreadable)} damaged", cure=cure)
    elif found:
        lacking = f"{sum(map(len, found))} chips are in packs and in no segment"
        yield Ailment(subject="index", damage=lacking, cure="they are taken up again")
    yield from _reclaims(objects)
    yield from _recipes(objects)
    yield from _packs(objects, view.with_own(found))


def repair(chips: ChipStore) -> None:
    """Rewrite what can be derived; mark the chips of missing packs as damaged, so that adds store them again."""
    from storage.imagestore.upkeep.reclaim import finish_interrupted

    parameters.keep_copy(chips.objects)
    if chips.view_as_it_is().reclaiming:  # an index must not grow during a reclaim; two may finish it at once
        finish_interrupted(chips)
    chips.restore_index()
    _, lost = _short_packs(chips.objects, chips.load_view())
    for digest in lost:
        damage.mark(chips.objects, digest.tobytes())


def _reclaims(objects: ObjectStore) -> Iterator[Ailment]:
    """Yield unreadable notes of reclaims; their decisions are made anew."""
    newest, judged = numbers(objects, epochs.PREFIX)[-1:], numbers(objects, verdict.PREFIX)
    notes = [*map(epochs.name_of, newest), *map(verdict.name_of, judged)]
    broken = [name for name in notes if not _readable(objects, name)]
    if broken:
        cure = "the reclaim that it belonged to is ended; nothing that an image needs is freed by it"
        yield Ailment(subject="reclaim", damage=f"{_in_words(broken)} damaged", cure=cure)


def _recipes(objects: ObjectStore) -> Iterator[Ailment]:
    """Yield images this host can't read because its libraries compress differently; they are not damaged."""
    wanted = {
        image_id: why
        for image_id, why in manifests.read_all(objects, lambda header, _: header.other_bytes)
        if isinstance(why, str) and why
    }
    if wanted:
        first = min(wanted)
        what = f"{_in_words(sorted(wanted))} kept as contents and recipe that this host can't follow: {wanted[first]}"
        cure = (
            "a host with that version reads them, and puts them back to their own bytes: compact-storage, recipes off"
        )
        yield Ailment(subject="recipes", damage=what, cure=cure)


def _readable(objects: ObjectStore, name: str) -> bool:
    data = objects.get(name)
    try:
        return data == epochs.DONE or bool(unsealed(name, data))
    except DigestMismatch:
        return False


def _packs(objects: ObjectStore, view: View) -> Iterator[Ailment]:
    packs, lost = _short_packs(objects, view)
    images = tuple(_in_need(objects, view, index.keys_of(lost)))
    if len(lost) or images:
        which = f"{_in_words([object_name(name) for name in packs])} missing or cut" if packs else "packs are gone"
        what = f"{which}; {len(images)} images lack chips: {', '.join(images[:NAMED])}"
        cure = "what they lack is stored again from another replica, or by the next add of the same bytes"
        yield Ailment(subject="packs", damage=what, cure=cure, images=images)


def _short_packs(objects: ObjectStore, view: View) -> tuple[list[bytes], U1]:
    """Return the packs that are shorter than the index says, and the chips (n, 32) that exist only there."""
    sizes = pack.sizes(objects)
    lost = [np.zeros((0, 32), np.uint8)]
    packs: set[bytes] = set()
    for table in view.tables:
        outside = _outside(table, table.packs, sizes)
        digests = table.digests[outside]
        places = view.locate(digests)  # chips stored again since then lie elsewhere
        lost.append(digests[_outside(places, places.packs, sizes)])
        packs |= {table.packs[number].tobytes() for number in np.unique(table.pack[outside])}
    lost.extend(leaning_on(objects, view, index.distinct(index.keys_of(np.concatenate(lost)))))
    index.let_go(view.tables)
    return sorted(packs), np.unique(np.concatenate(lost), axis=0)


def _outside(places: Table | Located, packs: U1, sizes: Mapping[bytes, int]) -> Flags:
    """Tell which records lie beyond the end of their pack."""
    if not len(packs):
        return np.zeros(len(places.pack), np.bool_)
    ends = np.array([sizes.get(name.tobytes(), 0) for name in packs], np.uint64)
    outside: Flags = places.offset + places.stored + np.uint64(RECORD.size) > ends[places.pack]
    return outside


def _in_need(objects: ObjectStore, view: View, lost: U8) -> Iterator[str]:
    """Yield the images with a chip that has no place, or whose key is among the lost ones."""
    gone = index.distinct(lost)

    def lacks(_: ManifestHeader, pieces: Pieces) -> bool:
        keys = index.keys_of(pieces.data_digests)
        return bool((index.member(gone, keys) | ~view.known(keys)).any())

    for image_id, lacking in manifests.read_all(objects, lacks):
        if lacking is True:
            yield image_id


def _in_words(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more + (" are" if len(names) > 1 else " is")
