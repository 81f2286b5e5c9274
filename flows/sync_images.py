"""Synchronise images between ImageStores: compare → batches (chips, manifests, catalog) → sweep → dashboard."""

from collections.abc import Sequence

from prefect import flow
from prefect.artifacts import create_markdown_artifact

from catalog.errors import SyncFailed
from catalog.records import ItemOutcome, Plan, SyncReport
from flows.naming import named
from flows.requests import SyncImages
from tasks.artifacts import key_of, quietly
from tasks.behind import Behind, Selection, compare_stores
from tasks.sync import mirror_deletions, plan_sync, sweep_dead_syncs, sync_batch


@flow(name="sync-images", flow_run_name=named("sync {source} to {target}"))
def sync_images(request: SyncImages) -> SyncReport | Plan:
    """Bring images from one ImageStore to another; only chips that the target lacks travel, over the sync network if set.

    The report has one outcome per image; one that fails never stops the others. Raises InvalidRequest, StorageNotFound,
    StorageRefused, CapacityExceeded; SyncFailed where every image that was asked for by id failed.
    """
    fields = request.model_dump(include=set(Selection.model_fields))
    selection = Selection.model_validate(fields)
    behind = compare_stores(selection)
    if request.plan_only:
        return plan_sync(selection, behind, mirror=request.deletion == "mirror" and not request.image_ids)
    report = _sync(request, selection, behind)
    _raise_if_all_failed(request, report)
    return report


def _sync(request: SyncImages, selection: Selection, behind: Behind) -> SyncReport:
    outcomes, saved = list(behind.outcomes), behind.bytes_there
    for batch in behind.batches:
        done, not_sent = sync_batch(
            request.source, request.target, batch, request.account, request.bandwidth_bytes_s
        )
        outcomes += done
        saved += not_sent
    if behind.batches:
        sweep_dead_syncs(request.target)
    deleted = _mirror(request, selection, behind.matching)
    sent = sum(outcome.bytes_sent for outcome in outcomes)
    report = SyncReport(
        source=request.source,
        target=request.target,
        images=tuple(outcomes),
        bytes_sent=sent,
        bytes_saved=saved,
    )
    quietly(lambda: _show(report, deleted))
    return report


def _mirror(request: SyncImages, selection: Selection, matching: Sequence[str]) -> tuple[ItemOutcome, ...]:
    if request.deletion == "keep" or request.image_ids:
        return ()
    return mirror_deletions(selection, matching)


def _raise_if_all_failed(request: SyncImages, report: SyncReport) -> None:
    failed = {o.image_id: o.error or "" for o in report.images if o.outcome == "failed"}
    if request.image_ids and len(failed) == len(report.images):
        raise SyncFailed(request.source, request.target, failed)


def _show(report: SyncReport, deleted: Sequence[ItemOutcome]) -> None:
    key = key_of("replication", report.source, "to", report.target)
    create_markdown_artifact(
        dashboard(report, deleted), key=key, description=f"{report.source} to {report.target}"
    )


def dashboard(report: SyncReport, deleted: Sequence[ItemOutcome] = ()) -> str:
    """Return the state of a replication as markdown: in sync, behind and why, bytes saved."""
    by = {
        kind: [o for o in report.images if o.outcome == kind]
        for kind in ("synced", "already there", "failed")
    }
    rows = [
        ("in sync", len(by["synced"]) + len(by["already there"])), ("of these brought now", len(by["synced"])),
        ("failed, and so behind", len(by["failed"])), ("bytes sent", report.bytes_sent),
        ("bytes saved: already there", report.bytes_saved), ("deleted by the rule", len(deleted)),
    ]  # fmt: skip
    table = "\n".join(f"| {what} | {count} |" for what, count in rows)
    failures = "\n".join(f"- `{o.image_id}`: {o.error}" for o in by["failed"])
    text = f"# {report.source} to {report.target}\n\n| what | count |\n| --- | --- |\n{table}\n"
    return text + (f"\n## Failed\n\n{failures}\n" if failures else "")
