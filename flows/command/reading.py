"""Commands that only read this host's catalog or a remote service. None of them imports Prefect or needs its server."""

from collections.abc import Callable
from typing import Annotated, Literal

from cyclopts import Parameter

from catalog.errors import InvalidRequest
from catalog.records import LogVerified
from catalog.rules.images.naming import canonical_id
from flows.command.documents import write_document
from flows.command.families import families, promotions, watches
from flows.command.moments import moment
from flows.command.opening import ImageId, Json, Moment, Output, Seen, here, opened, print_listed
from flows.command.output import print_json, print_record


def images(
    *,
    status: Annotated[
        str, Parameter(help="Only these: Ready, Error, Downloading, …; left out: all but deleted ones.")
    ] = "",
    name_pattern: Annotated[str, Parameter(help="Shell pattern of names, such as debian-*.")] = "*",
    owner: Annotated[str | None, Parameter(help="Only images of this account.")] = None,
    account: Seen = None,
    image_storage: Annotated[str | None, Parameter(help="Only images that this storage holds.")] = None,
    deprecated: Annotated[
        bool | None, Parameter(help="Only deprecated ones, or only the others; left out: both.")
    ] = None,
    family: Annotated[str | None, Parameter(help="Only builds of this family.")] = None,
    os: Annotated[str | None, Parameter(help="Only with this operating system, as declared.")] = None,
    version: Annotated[str | None, Parameter(help="Only this version, as its publisher gave it.")] = None,
    cpu_architecture: Annotated[str | None, Parameter(help="Only for this architecture.")] = None,
    label: Annotated[
        tuple[str, ...],
        Parameter(negative="", help="Only images with this label, key=value; given several times: with all of them."),
    ] = (),
    limit: Annotated[int | None, Parameter(help="Maximum number of images; left out: all.")] = None,
    as_json: Json = False,
) -> None:
    """List images, newest first; deprecated ones are marked, with their replacement."""
    with opened() as reader:
        found = reader.images(
            status=status or None,
            name_pattern=name_pattern,
            owner=owner,
            account=account,
            image_storage=image_storage,
            deprecated=deprecated,
            family=family,
            os=os,
            build_version=version,
            cpu_architecture=cpu_architecture,
            labels=label,
            limit=limit,
        )
        print_listed(found, LISTED, as_json)


LISTED = ("id", "name", "status", "state", "deprecated", "replaced_by", "format_stored", "virtual_size_bytes", "md5")


def show(image_id: ImageId, *, account: Seen = None, as_json: Json = False) -> None:
    """Show everything known about one image."""
    image_id = canonical_id(image_id)
    with opened() as reader:
        image = reader.image(image_id, account=account)
        print_json(image) if as_json else print_record(image)
        if not as_json:
            for replica in reader.replicas(image_id):
                print(
                    f"on {replica.image_storage}: {replica.status}, {replica.location}, verified {replica.verified_at or 'never'}"
                )


def exports(*, account: Seen = None, as_json: Json = False) -> None:
    """List exported images."""
    with opened() as reader:
        print_listed(
            reader.exports(account=account),
            ("id", "image_id", "image_storage", "format", "size_bytes", "md5", "path"),
            as_json,
        )


def recycle_bin(*, account: Seen = None, as_json: Json = False) -> None:
    """List deleted images that can still be recovered."""
    with opened() as reader:
        print_listed(reader.recycle_bin(account=account), ("id", "name", "deleted_at", "size_bytes", "owner"), as_json)


def leftovers(*, account: Seen = None, as_json: Json = False) -> None:
    """List raw data kept on a source after a change of storage."""
    with opened() as reader:
        print_listed(
            reader.leftovers(account=account),
            ("id", "image_id", "image_storage", "location", "size_bytes", "moved_to"),
            as_json,
        )


STORAGE_COLUMNS = (
    "name", "kind", "url", "state", "connection", "host", "shared", "sync_network", "bandwidth_bytes_s", "recipes",
    "logical_bytes", "kept_bytes", "saved_by_dedup_bytes", "saved_by_compression_bytes", "saved_by_compaction_bytes",
)  # fmt: skip


def storages(*, as_json: Json = False) -> None:
    """List image storages: bytes of their images, bytes stored, and what deduplication, compression and the last compaction save."""
    with opened() as reader:
        print_listed(reader.storages(), STORAGE_COLUMNS, as_json)


def hosts(*, as_json: Json = False) -> None:
    """List the hosts that work on this catalog: Silent ones gave no sign of life lately, Draining ones take no new runs."""
    with opened() as reader:
        print_listed(
            reader.hosts(), ("name", "state", "last_seen", "storages", "address", "free_scratch_bytes"), as_json
        )


def volumes(*, account: Seen = None, as_json: Json = False) -> None:
    """List volumes and VM disks made from images: with an account, its own."""
    with opened() as reader:
        print_listed(
            reader.volumes(account=account),
            ("id", "name", "image_id", "primary_storage", "location", "size_bytes"),
            as_json,
        )


def events(
    image_id: Annotated[str | None, Parameter(help="Id of the image; left out: all of them.")] = None,
    *,
    account: Seen = None,
    verify: Annotated[bool, Parameter(help="Verify the log by its hashes, and the records by the log.")] = False,
    output: Output = None,
    as_json: Json = False,
) -> None:
    """List the event log, of one image or of everything."""
    image_id = image_id and canonical_id(image_id)
    if verify and account is not None:
        raise InvalidRequest("account", account, "leave it out with --verify, which proves the whole log")
    with opened() as reader:
        if verify:
            proven = reader.verified()
            if image_id is None and output is None:
                _say_verified(proven, as_json)
                return
        if output is not None:
            write_document(output, (event.model_dump_json() for event in reader.events(image_id, account=account)))
            return
        print_listed(
            reader.events(image_id, account=account),
            ("sequence", "at", "kind", "subject", "actor", "run_id"),
            as_json,
        )


def _say_verified(proven: LogVerified, as_json: bool) -> None:
    if as_json:
        print_json(proven)
        return
    entries, records = proven.entries, proven.records
    print(f"{entries} entries, each what was written and in its place; {records} records, each what they say")


def lineage(
    image_id: ImageId,
    *,
    account: Seen = None,
    signed: Annotated[
        bool,
        Parameter(negative="", help="As a DSSE envelope, signed by this installation; `verify-lineage` verifies it."),
    ] = False,
    output: Output = None,
    as_json: Json = False,  # noqa: ARG001  # it is JSON
) -> None:
    """Show an image's provenance as an in-toto statement with SLSA provenance (JSON), made from the event log."""
    import json

    from catalog.log import envelope
    from catalog.log.lineage import statement
    from flows.command.signing import signing_key

    image_id = canonical_id(image_id)
    with opened() as reader:
        said = statement(image_id, reader.events(image_id, account=account))
    if signed:
        with here("lineage --signed") as catalog:
            said = envelope.signed(said, signing_key(catalog))
    text = json.dumps(said, ensure_ascii=False, indent=2)
    if output is None:
        print(text)
    else:
        write_document(output, [text])


def public_key(*, as_json: Json = False) -> None:
    """Print the public key (PEM) that verifies lineages signed by this installation."""
    import json

    from catalog.log.envelope import public_pem
    from flows.command.signing import signing_key

    with here("public-key") as catalog:
        pem = public_pem(signing_key(catalog))
    print(json.dumps({"public_key": pem}) if as_json else pem.rstrip("\n"))


def pending(
    *,
    storage: Annotated[str | None, Parameter(help="Only work that waits for this storage.")] = None,
    as_json: Json = False,
) -> None:
    """List deferred work, which is retried, with the reason."""
    with opened() as reader:
        print_listed(
            reader.pending(storage=storage),
            ("operation", "subject", "storage", "bytes", "attempts", "tried_at", "reason"),
            as_json,
        )


def usage(
    account: Annotated[str | None, Parameter(help="Only this account.")] = None, *, as_json: Json = False
) -> None:
    """List the usage of accounts: in total, in the recycle bin, and reserved by adds in progress."""
    with opened() as reader:
        print_listed(reader.usages(account), USED, as_json)


USED = ("account", "images", "size_bytes", "stored_bytes", "binned_images", "binned_bytes", "reserved_images",
        "reserved_bytes")  # fmt: skip


def accounts(*, as_json: Json = False) -> None:
    """List accounts with settings of their own; an empty field uses the system's setting."""
    with opened() as reader:
        print_listed(reader.accounts(), CONFIGURED, as_json)


CONFIGURED = ("name", "projects", "quota_images", "quota_bytes", "quota_stored_bytes", "retention_days",
              "retention_policy")  # fmt: skip


def webhooks(*, as_json: Json = False) -> None:
    """List webhooks."""
    with opened() as reader:
        print_listed(reader.webhooks(), ("name", "url", "events", "state", "secret"), as_json)


def deliveries(
    *,
    webhook: Annotated[str | None, Parameter(help="Only to this webhook.")] = None,
    status: Annotated[
        Literal["Pending", "Delivered", "Failed"] | None, Parameter(help="Only these: Pending, Delivered, Failed.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List webhook deliveries: pending ones and those of the last thirty days, with the reason where one failed."""
    with opened() as reader:
        print_listed(reader.deliveries(webhook, status=status), DELIVERED, as_json)


DELIVERED = ("webhook", "sequence", "event", "status", "attempts", "tried_at", "due_at", "response", "reason")


def latest(
    family: Annotated[str, Parameter(help="Name of the family.")],
    *,
    cpu_architecture: Annotated[str, Parameter(help="x86_64, aarch64, mips64el or loongarch64.")] = "x86_64",
    account: Seen = None,
    as_json: Json = False,
) -> None:
    """Show the latest image of a family for an architecture: the promoted one, else the newest that is enabled and Ready."""
    with opened() as reader:
        image = reader.latest(family, cpu_architecture, account=account)
    print_json(image) if as_json else print_record(image)


def export_config(
    *,
    output: Output = None,
    as_json: Json = False,  # JSON is valid YAML too
) -> None:
    """Write the configuration (storages, accounts, families, watches, webhooks) as a file for `apply`."""
    import json

    from flows.command.catalogue import document, written

    with here("export-config") as catalog:
        text = json.dumps(document(catalog), ensure_ascii=False, indent=2) if as_json else written(catalog)
    if output is None:
        print(text.rstrip("\n"))
    else:
        write_document(output, [text.rstrip("\n")])


def diff(at1: Moment, at2: Moment = "", *, as_json: Json = False) -> None:
    """Show how the catalog differs between two moments (ISO 8601, UTC unless a zone is given; default: until now)."""
    since, until = moment("at1", at1), moment("at2", at2) if at2 else None
    if until is not None and since > until:
        raise InvalidRequest("at1", at1, f"a moment before {at2}")
    with opened() as reader:
        found = reader.difference(since, until)
    if as_json:
        print_json(found)
        return
    for sign, subjects in (("+", found.appeared), ("-", found.vanished)):
        for subject in subjects:
            print(f"{sign} {subject}")
    for changed in found.changed:
        for field, value in changed.after.items():
            print(f"~ {changed.subject} {field}: {changed.before.get(field)!r} → {value!r}")


READING: dict[str, Callable[..., None]] = {
    "images": images, "show": show, "exports": exports, "bin": recycle_bin, "leftovers": leftovers,
    "storages": storages, "volumes": volumes, "hosts": hosts, "events": events, "lineage": lineage, "public-key": public_key, "pending": pending,
    "usage": usage, "accounts": accounts, "latest": latest, "diff": diff,
    "families": families, "promotions": promotions, "watches": watches, "export-config": export_config,
    "webhooks": webhooks, "deliveries": deliveries,
}  # fmt: skip
"""Every reading command: adding one adds a function and a row."""
