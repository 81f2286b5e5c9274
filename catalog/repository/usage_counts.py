"""Update each account's counts in the transaction that changes its images, so no quota check sums a million rows."""

from catalog.records import Counted, Image, Record, Replica, Usage
from catalog.rules.accounts.quotas import exchanged, part_of
from catalog.store import record_kinds
from catalog.store.protocol import Query, Transaction

ALL = 1 << 30  # an image has a handful of replicas, an account a handful of adds on their way


def recount(transaction: Transaction, before: Record | None, after: Record | None) -> None:
    """Update the counts of the accounts concerned after a record changed."""
    record = after if after is not None else before
    if isinstance(record, Image):
        _recount_image(
            transaction,
            before if isinstance(before, Image) else None,
            after if isinstance(after, Image) else None,
        )
    elif isinstance(record, Replica):
        image = transaction.get(record_kinds.IMAGE, (record.image_id,))
        if image is not None:
            _exchange(transaction, image.owner, _stored(image.owner, before), _stored(image.owner, after))


def _recount_image(transaction: Transaction, before: Image | None, after: Image | None) -> None:
    owners = dict.fromkeys(image.owner for image in (before, after) if image is not None)
    for owner in owners:
        out, into = part_of(before, owner), part_of(after, owner)
        if len(owners) == 2 and before is not None:  # the image changed its owner, and so did its replicas
            stored = stored_bytes(transaction, before.id)
            out = out.model_copy(update={"stored_bytes": stored if before.owner == owner else 0})
            into = into.model_copy(update={"stored_bytes": 0 if before.owner == owner else stored})
        _exchange(transaction, owner, out, into)


def stored_bytes(transaction: Transaction, image_id: str) -> int:
    """Return the bytes newly written for the replicas of an image."""
    query = Query(among={"image_id": (image_id,)})
    return sum(r.stored_bytes for r in transaction.page(record_kinds.REPLICA, query, None, ALL).all())


def usage_of(transaction: Transaction, account: str, but: str = "") -> Usage:
    """Return the usage of an account. but: subject of an image to leave out, whether reserved or counted."""
    counts = transaction.get(record_kinds.COUNTED, (account,)) or Counted(account=account)
    if but:
        counts = exchanged(counts, part_of(_subject(transaction, but), account), Counted(account=account))
    images = size = 0
    reserved = transaction.page(record_kinds.RESERVATION, Query(among={"account": (account,)}), None, ALL)
    for reservation in reserved.all():
        if reservation.subject != but:
            own = part_of(_subject(transaction, reservation.subject), account)
            images += 1 - own.images
            size += max(reservation.size_bytes - own.size_bytes, 0)
    return Usage(**counts.model_dump(), reserved_images=images, reserved_bytes=size)


def _subject(transaction: Transaction, subject: str) -> Image | None:
    return transaction.get(record_kinds.IMAGE, (subject.removeprefix("image:"),))


def _stored(owner: str, replica: Record | None) -> Counted:
    return Counted(account=owner, stored_bytes=replica.stored_bytes if isinstance(replica, Replica) else 0)


def _exchange(transaction: Transaction, account: str, out: Counted, into: Counted) -> None:
    if out == into:
        return
    known = transaction.get(record_kinds.COUNTED, (account,))
    counts = exchanged(known or Counted(account=account), out, into)
    if known is None:
        transaction.insert(record_kinds.COUNTED, counts)
    else:
        transaction.update(record_kinds.COUNTED, counts)
