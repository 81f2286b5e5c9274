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


def _print(records: Iterable[Record], columns: tuple[str, ...], as_json: bool) -> None:
    if as_json:
        print_json(records)
    else:
        print_table(records, columns)


def images(*, status: str = "", name_pattern: str = "*", owner: str | None = None,
           account: str | None = None, image_storage: str | None = None, limit: int | None = None,
           as_json: Json = False) -> None:  # fmt: skip
    """List images, newest first."""
    with open_catalog() as catalog:
        if image_storage is not None:
            catalog.image_storage(image_storage)
        found = catalog.images(status=status or AVAILABLE, name_pattern=name_pattern, owner=owner, account=account,
                               image_storage=image_storage, limit=limit)  # fmt: skip
        _print(
            found, ("id", "name", "status", "state", "format_stored", "virtual_size_bytes", "md5"), as_json
        )


def show(image_id: str, *, account: str | None = None, as_json: Json = False) -> None:
    """Show everything known about one image."""
    with open_catalog() as catalog:
        image = catalog.image(image_id, account=account)
        print_json(image) if as_json else print_record(image)
        if not as_json:
            for replica in catalog.replicas(image_id):
                print(
                    f"on {replica.image_storage}: {replica.status}, {replica.location}, verified {replica.verified_at or 'never'}"
                )


def exports(*, account: str | None = None, as_json: Json = False) -> None:
    """List exported images."""
    with open_catalog() as catalog:
        sight = Sight(catalog, account)
        _print(
            (export for export in catalog.exports() if sight.of(export.image_id)),
            ("id", "image_id", "image_storage", "format", "size_bytes", "md5", "path"),
            as_json,
        )


def recycle_bin(*, account: str | None = None, as_json: Json = False) -> None:
    """List deleted images that can still be recovered."""
    with open_catalog() as catalog:
        _print(catalog.bin(account), ("id", "name", "deleted_at", "size_bytes", "owner"), as_json)


def leftovers(*, account: str | None = None, as_json: Json = False) -> None:
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


def volumes(*, account: str | None = None, as_json: Json = False) -> None:
    """List volumes and VM disks made from images: with an account, its own."""
    with open_catalog() as catalog:
        _print(
            (v for v in catalog.volumes() if account in (None, ADMIN, v.owner)),
            ("id", "name", "image_id", "primary_storage", "location", "size_bytes"),
            as_json,
        )


def events(
    image_id: str | None = None,
    *,
    account: str | None = None,
    verify: bool = False,
    output: str | None = None,
    as_json: Json = False,
) -> None:
    """List the event log, of one image or of everything; --verify first proves the log by its hashes, the records by the log.

    account: only what it sees, the images that are there and visible to it. output: write it there as JSON Lines instead: a path, or a URL such as s3://bucket/log.jsonl.gz.
    """
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
    image_id: str,
    *,
    account: str | None = None,
    output: str | None = None,
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


def pending(*, storage: str | None = None, as_json: Json = False) -> None:
    """List work that could not be done yet and is tried again, with the reason."""
    with open_catalog() as catalog:
        _print(
            catalog.pending(storage=storage),
            ("operation", "subject", "storage", "bytes", "attempts", "tried_at", "reason"),
            as_json,
        )


def usage(account: str | None = None, *, as_json: Json = False) -> None:
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


def latest(family: str, *, account: str | None = None, as_json: Json = False) -> None:
    """Show the newest enabled, Ready and not deprecated image of a family."""
    with open_catalog() as catalog:
        image = catalog.latest(family, account=account)
    print_json(image) if as_json else print_record(image)


def diff(at1: str, at2: str = "", *, as_json: Json = False) -> None:
    """Show how the catalog differs between two moments (ISO 8601, UTC unless a zone is given; default: until now)."""
    with open_catalog() as catalog:
        found = catalog.difference(moment("at1", at1), moment("at2", at2) if at2 else datetime.now(UTC))
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
