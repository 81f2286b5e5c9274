"""Check quality: run the catalog suite on the database; on demand, judge stored images again by the present rules."""

from prefect.artifacts import create_link_artifact, create_markdown_artifact

from catalog.log import events
from catalog.records import Action, Plan, QualityReport
from catalog.rules.accounts.sharing import require_admin
from flows.operation import flow_of
from flows.requests import CheckQuality
from tasks.runtime.batches import cut
from tasks.runtime.runs.notify import emit_of_catalog, quietly
from tasks.upkeep.check_quality import check_catalog, choose_images, rescan_batch, with_rescan

BATCH = 50


@flow_of(CheckQuality)
def check_quality(request: CheckQuality) -> QualityReport | Plan:
    """Check the whole catalog and save the results as Data Docs; a failed check emits an event, and the run completes.

    rescan: images that the present rules refuse are disabled, with the reason.
    """
    require_admin(request.account, "check quality")
    if request.plan_only:
        return _plan(request.rescan, request.host)
    report = check_catalog()
    if request.rescan:
        ids = choose_images(request.host)
        report = with_rescan(report, [check for some in cut(ids, BATCH) for check in rescan_batch(some)])
    quietly(lambda: _show(report))
    return report


def _plan(rescan: bool, host: str | None) -> Plan:
    actions = [Action(verb="check", subject="catalog", reason="the suite runs on the database itself")]
    if rescan:
        reason = "judged by the present rules, disabled if it does not pass"
        actions += [
            Action(verb="rescan", subject=f"image:{image_id}", reason=reason) for image_id in choose_images(host)
        ]
    return Plan(operation="check quality", actions=tuple(actions), summary=f"{len(actions)} checks")


def _show(report: QualityReport) -> None:
    if report.docs_url:
        create_link_artifact(report.docs_url, key="data-docs", description="Data Docs of the catalog")
    lines = [f"| {'pass' if c.success else 'FAIL'} | {_cell(c.sentence)} |" for c in report.checks]
    table = "\n".join(["| result | what was checked |", "| --- | --- |", *lines])
    create_markdown_artifact(f"# Quality of the catalog\n\n{table}", key="catalog-quality")
    if not report.success:
        emit_of_catalog(events.QUALITY_FAILED, failed=list(report.failed))


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")
