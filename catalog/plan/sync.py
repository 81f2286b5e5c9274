"""Bringing images from one ImageStore to another: which chips have to travel."""

from collections.abc import Container, Mapping

from catalog.records import Action, Plan

Chips = Mapping[bytes, int]
"""Digest → bytes that the chip takes on the wire."""


def plan_sync(wanted: Mapping[str, Chips], held: Container[bytes], complete: Container[str]) -> Plan:
    """Return what travels: per image the chips the target lacks, those that an earlier image brings counted once.

    wanted: image id → its chips, in the order they are to be sent. held: chips on the target, as its index says.
    complete: ids of images that the target holds whole. Memory: the digests of what travels.
    """
    actions: list[Action] = []
    on_the_way: set[bytes] = set()
    there = 0
    for image_id, chips in wanted.items():
        if image_id in complete:
            there += sum(chips.values())
            actions.append(Action(verb="keep", subject=f"image:{image_id}", reason="already there whole"))
            continue
        lacking = {chip for chip in chips if chip not in held and chip not in on_the_way}
        size = sum(chips[chip] for chip in lacking)
        there += sum(chips.values()) - size
        on_the_way |= lacking
        actions.append(_send(image_id, len(lacking), len(chips), size))
    total = sum(action.bytes for action in actions)
    sent = sum(action.verb == "send chips" for action in actions)
    summary = f"send {sent} of {len(actions)} images: {total} bytes, {there} are there already"
    return Plan(
        operation="sync",
        actions=tuple(actions),
        bytes_to_move=total,
        bytes_already_there=there,
        summary=summary,
    )


def _send(image_id: str, lacking: int, chips: int, size: int) -> Action:
    reason = f"{lacking} of {chips} chips, then the manifest"
    return Action(verb="send chips", subject=f"image:{image_id}", bytes=size, reason=reason)
