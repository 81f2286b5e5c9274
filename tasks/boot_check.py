"""Boot an image in a virtual machine, and show what came of it."""

import base64
import shutil
from datetime import UTC, datetime
from pathlib import Path

from prefect import get_run_logger, task
from prefect.artifacts import create_markdown_artifact

from catalog.errors import InvalidRequest
from catalog.records import BootCheckReport, Image, Replica, ReplicaStatus
from catalog.rules.transitions import status_after
from catalog.settings import Settings
from storage.formats.boot_run import BootOutcome, boot_image
from storage.protocols import ImageStorage
from tasks.artifacts import quietly
from tasks.progress import progress
from tasks.resources import open_image_storage, open_resources, run_id
from tasks.scratch import scratch_folder

MAX_EMBEDDED_BYTES = 256 << 10
"""A larger picture is named in the artifact, not carried in it."""


@task(task_run_name="boot {image.name}")
def boot_check(image: Image, account: str, timeout_s: float) -> BootCheckReport:
    """Boot a scratch copy of the image; what the guest writes is lost with it.

    Raises IllegalTransition unless the image is whole, InvalidRequest for what can't be booted here, MissingProgram.
    """
    status_after(image, "export")
    if image.image_type != "System" or image.cpu_architecture is None:
        raise InvalidRequest(
            "image_id", image.id, "a system image: a volume image holds data and boots nothing"
        )
    with open_resources() as (settings, catalog):
        replica = _replica(tuple(catalog.replicas(image.id)), image)
        storage = open_image_storage(catalog.image_storage(replica.image_storage), settings)
        outcome = _boot(image, replica, storage, settings, timeout_s)
        report = BootCheckReport(
            image_id=image.id, cpu_architecture=image.cpu_architecture, bios_mode=image.bios_mode or "Legacy",
            checked_at=datetime.now(UTC), **outcome.model_dump(),
        )  # fmt: skip
        with catalog.changing(actor=account, run_id=run_id()) as change:
            change.record("imagewright.image.boot_checked", f"image:{image.id}", after=report)
    get_run_logger().info("%s: %s", "booted" if report.booted else "did not boot", report.evidence)
    quietly(lambda: create_markdown_artifact(markdown(image, report), key=f"boot-{image.id}"))
    return report


def screenshot_path(settings: Settings, image_id: str) -> Path:
    """Return where the newest picture of an image's screen is kept."""
    return settings.home / "screenshots" / f"{image_id}.png"


def markdown(image: Image, report: BootCheckReport) -> str:
    """Return the report as GitHub-flavoured markdown, the picture in it."""
    verdict = "boots" if report.booted else "did not boot"
    parts = [f"# {_plain(image.name)} {verdict} in {report.bios_mode} mode on {report.cpu_architecture}"]
    parts.append(f"{_plain(report.evidence)} ({report.seconds:.1f} s)")
    if report.screenshot:
        parts.append(_picture(Path(report.screenshot)))
    if report.console:
        indented = "\n".join(f"    {line}" for line in report.console.splitlines())
        parts.append(f"Serial console:\n\n{indented}")
    return "\n\n".join(parts)


def _picture(file: Path) -> str:
    data = file.read_bytes()
    if len(data) > MAX_EMBEDDED_BYTES:
        return f"Screen: `{file}`"
    return f"![screen](data:image/png;base64,{base64.b64encode(data).decode()})"


def _plain(text: str) -> str:
    return text.replace("<", "&lt;").replace("\n", " ")


def _replica(replicas: tuple[Replica, ...], image: Image) -> Replica:
    for replica in replicas:
        if replica.status is ReplicaStatus.READY:
            return replica
    raise InvalidRequest(
        "image_id", image.id, "an image with an undamaged replica; verify its replicas first"
    )


def _boot(
    image: Image, replica: Replica, storage: ImageStorage, settings: Settings, timeout_s: float
) -> BootOutcome:
    """Boot from a verified copy in the scratch folder, and keep the picture."""
    assert image.cpu_architecture is not None
    with scratch_folder(settings, "boot") as scratch:
        file, work = scratch / f"image.{replica.format}", scratch / "work"
        work.mkdir()
        with progress(f"boot-copy-{image.id}", f"copy {image.name} to boot it") as meter:
            storage.export(image.id, file, meter)
        mode = image.bios_mode or "Legacy"
        outcome = boot_image(file, replica.format, mode, image.cpu_architecture, image.media, timeout_s, work)
        return _with_kept_picture(outcome, screenshot_path(settings, image.id))


def _with_kept_picture(outcome: BootOutcome, target: Path) -> BootOutcome:
    if outcome.screenshot is None:
        return outcome
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_suffix(".new")
    shutil.copyfile(outcome.screenshot, aside)
    aside.replace(target)
    return outcome.model_copy(update={"screenshot": str(target)})
