"""Synchronise images between ImageStores: compare → batches (chips, manifests, catalog) → sweep → dashboard."""

from collections.abc import Sequence

from prefect.artifacts import create_markdown_artifact

from catalog.errors import ImagewrightError, SyncFailed
from catalog.records import Plan, SyncOutcome, SyncReport
from flows.operation import flow_of
from flows.requests import SyncImages
from tasks.replicas.compare import Backlog, Selection, compare_stores
from tasks.replicas.sync import mirror_deletions, plan_sync, sweep_dead_syncs, sync_batch, tell_outcomes
from tasks.runtime.runs.notify import key_of, quietly
from tasks.runtime.runs.waiting import Waiting


@flow_of(SyncImages)
def sync_images(request: SyncImages) -> SyncReport | Plan:
    """Copy images from one ImageStore to another, sending only chips that the target lacks, over the sync network if set.

    The report has one outcome per image; an image that fails never stops the others. Raises InvalidRequest,
    StorageNotFound, StorageRefused, CapacityExceeded; NothingMatches if no image matches; SyncFailed if every image
    given by id failed.
    """
    return Waiting(request.patience_s).through(lambda: _synced(request))


def _synced(request: SyncImages) -> SyncReport | Plan:
    fields = request.model_dump(include=set(Selection.model_fields))
    selection = Selection.model_validate(fields)
    backlog = compare_stores(selection)
    if request.plan_only:
        return plan_sync(selection, backlog, mirror=request.deletion == "mirror" and not request.image_ids)
    report = _sync(request, selection, backlog)
    _raise_if_all_failed(request, report)
    return report


def _sync(request: SyncImages, selection: Selection, backlog: Backlog) -> SyncReport:
    outcomes, saved = list(backlog.outcomes), backlog.bytes_there
    _tell(request, backlog.outcomes)
    for batch in backlog.batches:
        done, not_sent = _sync_batch(request, batch)
        _tell(request, done)
        outcomes += done
        saved += not_sent
    if backlog.batches:
        sweep_dead_syncs(request.target)
    outcomes += _mirror(request, selection, backlog.matching)
    sent = sum(outcome.bytes_sent for outcome in outcomes)
    report = SyncReport(
        source=request.source,
        target=request.target,
        images=tuple(outcomes),
        bytes_sent=sent,
        bytes_saved=saved,
    )
    quietly(lambda: _show(report))
    return report


def _sync_batch(request: SyncImages, batch: Sequence[str]) -> tuple[Sequence[SyncOutcome], int]:
    try:
        return sync_batch(request.source, request.target, batch, request.account, request.bandwidth_bytes_s)
    except ImagewrightError as error:
        _tell(request, [SyncOutcome(image_id=i, outcome="failed", error=str(error)) for i in batch])
        raise


def _tell(request: SyncImages, outcomes: Sequence[SyncOutcome]) -> None:
    tell_outcomes(request.source, request.target, outcomes, request.account)


def _mirror(request: SyncImages, selection: Selection, matching: Sequence[str]) -> tuple[SyncOutcome, ...]:
    if request.deletion == "keep" or request.image_ids:
        return ()
    return mirror_deletions(selection, matching)


def _raise_if_all_failed(request: SyncImages, report: SyncReport) -> None:
    failed = {o.image_id: o.error or "" for o in report.images if o.outcome == "failed"}
    if request.image_ids and len(failed) == len(report.images):
        raise SyncFailed(request.source, request.target, failed)


def _show(report: SyncReport) -> None:
    key = key_of("replication", report.source, "to", report.target)
    create_markdown_artifact(dashboard(report), key=key, description=f"{report.source} to {report.target}")


def dashboard(report: SyncReport) -> str:
    """Return the state of a replication as markdown: in sync, behind and why, bytes saved."""
    by = {
        kind: [o for o in report.images if o.outcome == kind]
        for kind in ("synced", "already there", "failed", "removed", "kept")
    }
    rows = [
        ("in sync", len(by["synced"]) + len(by["already there"])),
        ("of these brought now", len(by["synced"])),
        ("failed, and so behind", len(by["failed"])),
        ("bytes sent", report.bytes_sent),
        ("bytes saved: already there", report.bytes_saved),
        ("removed by the rule, now leftovers", len(by["removed"])),
        ("kept although they no longer match", len(by["kept"])),
    ]
    table = "\n".join(f"| {what} | {count} |" for what, count in rows)
    failures = "\n".join(f"- `{o.image_id}`: {o.error}" for o in by["failed"])
    text = f"# {report.source} to {report.target}\n\n| what | count |\n| --- | --- |\n{table}\n"
    return text + (f"\n## Failed\n\n{failures}\n" if failures else "")
