"""Commands that only read the catalog. None of them imports Prefect or needs a server."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Annotated

from cyclopts import Parameter

from catalog import open_catalog
from catalog.errors import InvalidRequest
from catalog.reading import AVAILABLE
from catalog.records import LogVerified, Record
from catalog.rules.sharing import ADMIN
from flows.documents import write_document
from flows.output import print_json, print_record, print_table
from flows.sight import Sight, seen_events

Json = Annotated[bool, Parameter(name="--json", negative="", help="Print exactly one JSON document.")]
ImageId = Annotated[str, Parameter(help="Id of the image.")]
Seen = Annotated[str | None, Parameter(help="Only what this account sees; left out: everything.")]
Moment = Annotated[str, Parameter(help="A moment such as 2026-03-01T12:00:00Z; UTC unless a zone is given.")]
Output = Annotated[
    str | None,
    Parameter(
        help="Write it there instead: a path, or a URL such as s3://bucket/log.gz; packed by its ending."
    ),
]


def _print(records: Iterable[Record], columns: tuple[str, ...], as_json: bool) -> None:
    if as_json:
        print_json(records)
    else:
        print_table(records, columns)


def images(
    *,
    status: Annotated[
        str, Parameter(help="Only these: Ready, Error, Downloading, …; left out: all but deleted ones.")
    ] = "",
    name_pattern: Annotated[str, Parameter(help="Shell pattern of names, such as debian-*.")] = "*",
    owner: Annotated[str | None, Parameter(help="Only images of this account.")] = None,
    account: Seen = None,
    image_storage: Annotated[str | None, Parameter(help="Only images that this storage holds.")] = None,
    limit: Annotated[int | None, Parameter(help="Most lines; left out: all.")] = None,
    as_json: Json = False,
) -> None:
    """List images, newest first."""
    with open_catalog() as catalog:
        if image_storage is not None:
            catalog.image_storage(image_storage)
        found = catalog.images(status=status or AVAILABLE, name_pattern=name_pattern, owner=owner, account=account,
                               image_storage=image_storage, limit=limit)  # fmt: skip
        _print(
            found, ("id", "name", "status", "state", "format_stored", "virtual_size_bytes", "md5"), as_json
        )


def show(image_id: ImageId, *, account: Seen = None, as_json: Json = False) -> None:
    """Show everything known about one image."""
    with open_catalog() as catalog:
        image = catalog.image(image_id, account=account)
        print_json(image) if as_json else print_record(image)
        if not as_json:
            for replica in catalog.replicas(image_id):
                print(
                    f"on {replica.image_storage}: {replica.status}, {replica.location}, verified {replica.verified_at or 'never'}"
                )


def exports(*, account: Seen = None, as_json: Json = False) -> None:
    """List exported images."""
    with open_catalog() as catalog:
        sight = Sight(catalog, account)
        _print(
            (export for export in catalog.exports() if sight.of(export.image_id)),
            ("id", "image_id", "image_storage", "format", "size_bytes", "md5", "path"),
            as_json,
        )


def recycle_bin(*, account: Seen = None, as_json: Json = False) -> None:
    """List deleted images that can still be recovered."""
    with open_catalog() as catalog:
        _print(catalog.bin(account), ("id", "name", "deleted_at", "size_bytes", "owner"), as_json)


def leftovers(*, account: Seen = None, as_json: Json = False) -> None:
    """List raw data kept on a source after a change of storage."""
    with open_catalog() as catalog:
        sight = Sight(catalog, account)
        _print(
            (left for left in catalog.leftovers() if sight.of(left.image_id)),
            ("id", "image_id", "image_storage", "location", "size_bytes", "moved_to"),
            as_json,
        )


def storages(*, as_json: Json = False) -> None:
    """List image storages."""
    with open_catalog() as catalog:
        _print(
            catalog.image_storages(),
            ("name", "kind", "url", "state", "connection", "sync_network", "bandwidth_bytes_s"),
            as_json,
        )


def volumes(*, account: Seen = None, as_json: Json = False) -> None:
    """List volumes and VM disks made from images: with an account, its own."""
    with open_catalog() as catalog:
        _print(
            (v for v in catalog.volumes() if account in (None, ADMIN, v.owner)),
            ("id", "name", "image_id", "primary_storage", "location", "size_bytes"),
            as_json,
        )


def events(
    image_id: Annotated[str | None, Parameter(help="Id of the image; left out: all of them.")] = None,
    *,
    account: Seen = None,
    verify: Annotated[bool, Parameter(help="Prove the log by its hashes, the records by the log.")] = False,
    output: Output = None,
    as_json: Json = False,
) -> None:
    """List the event log, of one image or of everything."""
    if verify and account is not None:
        raise InvalidRequest("account", account, "leave it out with --verify, which proves the whole log")
    with open_catalog() as catalog:
        if verify:
            entries, records = catalog.verify_events(), catalog.verify_tables()
            if image_id is None and output is None:
                _say_verified(entries, records, as_json)
                return
        if output is not None:
            write_document(
                output, (event.model_dump_json() for event in seen_events(catalog, image_id, account))
            )
            return
        _print(
            seen_events(catalog, image_id, account),
            ("sequence", "at", "kind", "subject", "actor", "run_id"),
            as_json,
        )


def _say_verified(entries: int, records: int, as_json: bool) -> None:
    if as_json:
        print_json(LogVerified(entries=entries, records=records))
    else:
        print(
            f"{entries} entries, each what was written and in its place; {records} records, each what they say"
        )


def lineage(
    image_id: ImageId,
    *,
    account: Seen = None,
    output: Output = None,
    as_json: Json = False,  # noqa: ARG001  # it is JSON
) -> None:
    """Show where an image comes from, as an in-toto statement with SLSA provenance (JSON), made from the event log."""
    import json

    from catalog.lineage import statement

    with open_catalog() as catalog:
        text = json.dumps(
            statement(image_id, seen_events(catalog, image_id, account)), ensure_ascii=False, indent=2
        )
    if output is None:
        print(text)
    else:
        write_document(output, [text])


def pending(
    *,
    storage: Annotated[str | None, Parameter(help="Only what waits for this storage.")] = None,
    as_json: Json = False,
) -> None:
    """List work that could not be done yet and is tried again, with the reason."""
    with open_catalog() as catalog:
        _print(
            catalog.pending(storage=storage),
            ("operation", "subject", "storage", "bytes", "attempts", "tried_at", "reason"),
            as_json,
        )


def usage(
    account: Annotated[str | None, Parameter(help="Only this account.")] = None, *, as_json: Json = False
) -> None:
    """List what accounts use, the recycle bin counted in and apart, and what adds on their way have reserved."""
    with open_catalog() as catalog:
        _print([catalog.usage(account)] if account else catalog.usages(), USED, as_json)


USED = ("account", "images", "size_bytes", "stored_bytes", "binned_images", "binned_bytes", "reserved_images",
        "reserved_bytes")  # fmt: skip


def accounts(*, as_json: Json = False) -> None:
    """List the accounts that something is configured for; what is empty is as the whole system is set."""
    with open_catalog() as catalog:
        _print(catalog.accounts(), CONFIGURED, as_json)


CONFIGURED = ("name", "projects", "quota_images", "quota_bytes", "quota_stored_bytes", "retention_days",
              "retention_policy")  # fmt: skip


def latest(
    family: Annotated[str, Parameter(help="Name of the family.")],
    *,
    account: Seen = None,
    as_json: Json = False,
) -> None:
    """Show the newest enabled, Ready and not deprecated image of a family."""
    with open_catalog() as catalog:
        image = catalog.latest(family, account=account)
    print_json(image) if as_json else print_record(image)


def diff(at1: Moment, at2: Moment = "", *, as_json: Json = False) -> None:
    """Show how the catalog differs between two moments (ISO 8601, UTC unless a zone is given; default: until now)."""
    with open_catalog() as catalog:
        since, until = moment("at1", at1), moment("at2", at2) if at2 else datetime.now(UTC)
        if since > until:
            raise InvalidRequest("at1", at1, f"a moment before {at2 or 'now'}")
        found = catalog.difference(since, until)
    if as_json:
        print_json(found)
        return
    for sign, subjects in (("+", found.appeared), ("-", found.vanished)):
        for subject in subjects:
            print(f"{sign} {subject}")
    for changed in found.changed:
        for field, value in changed.after.items():
            print(f"~ {changed.subject} {field}: {changed.before.get(field)!r} → {value!r}")


def moment(parameter: str, text: str) -> datetime:
    """Return a moment that a person wrote. Raises InvalidRequest."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidRequest(parameter, text, "a moment such as 2026-03-01T12:00:00Z") from error
    return at if at.tzinfo else at.replace(tzinfo=UTC)


READING: dict[str, Callable[..., None]] = {
    "images": images, "show": show, "exports": exports, "bin": recycle_bin, "leftovers": leftovers,
    "storages": storages, "volumes": volumes, "events": events, "lineage": lineage, "pending": pending,
    "usage": usage, "accounts": accounts, "latest": latest, "diff": diff,
}  # fmt: skip
"""Every reading command: adding one adds a function and a row."""
