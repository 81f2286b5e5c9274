"""Boot an image in a virtual machine, and show what came of it."""

import base64
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from prefect.artifacts import create_markdown_artifact

from catalog.errors import BootFailed, InvalidRequest
from catalog.log import events
from catalog.records import BootCheckReport, BootPoint, Image, ImageFormat, Replica
from catalog.rules.images.transitions import status_after
from catalog.settings import Settings
from storage.boot.machine import Machine, machine_for
from storage.boot.trial import BootOutcome, boot_copy
from storage.formats.convert import write_sparse
from storage.protocols import Progress
from storage.replicas.convert import StoredCopy
from storage.replicas.source import landing_reader
from tasks.images.changes import owned
from tasks.replicas.readable import whole_replicas
from tasks.runtime.resources import changing, open_image_storage, open_resources
from tasks.runtime.retries import once, retrying
from tasks.runtime.runs.notify import quietly
from tasks.runtime.runs.progress import progress
from tasks.runtime.task import run_logger, task

if TYPE_CHECKING:
    from catalog.repository.catalog import Catalog

ANYTHING = BootPoint()
"""A boot loader or kernel that shows itself."""
MAX_EMBEDDED_BYTES = 256 << 10
"""A larger picture is named in the artifact, not carried in it."""


BEFORE_READY_S = 300
"""Seconds that an image which shall boot before it is Ready gets for it; one that does not is mostly known much sooner."""


@task(task_run_name="boot {image.name}", **once("it takes minutes, and a person asked for it"))
def boot_check(
    image: Image, account: str, timeout_s: float, point: BootPoint = ANYTHING, *, may_disable: bool = False
) -> BootCheckReport:
    """Boot a scratch copy of the image; what the guest writes is lost with it.

    point: how far it has to come. may_disable: the account must be one that may disable the image.
    Raises IllegalTransition unless the image is whole, InvalidRequest for what can't be booted here, MissingProgram, AccessDenied.
    """
    status_after(image, "export")
    if image.image_type != "System" or image.cpu_architecture is None:
        raise InvalidRequest("image_id", image.id, "a system image: a volume image holds data and boots nothing")
    with open_resources() as (settings, catalog):
        if may_disable:
            owned(catalog, image.id, account, "disable")
        replica = _whole(catalog, image)
        storage = open_image_storage(catalog.image_storage(replica.image_storage), settings)
        write = partial(storage.export, image.id)
        outcome = _boot(image, replica.format, _machine(image), write, settings, timeout_s, point)
        return _reported(image, outcome, catalog, account, point)


@task(
    task_run_name="look for a machine to boot {image.name}",
    **once("what is not installed will not be by waiting"),
)
def require_machine(image: Image) -> Machine:
    """Return what the image will be booted on, before anything is fetched for it. Raises MissingProgram, InvalidRequest."""
    return _machine(image)


@task(task_run_name="boot {image.name} before it is Ready", **retrying())
def require_boot(image: Image, kept: StoredCopy, machine: Machine) -> BootCheckReport:
    """Boot a scratch copy of what will be published. Raises BootFailed, MissingProgram, CapacityExceeded."""
    with open_resources() as (settings, catalog):
        storage = open_image_storage(catalog.image_storage(kept.image_storage), settings)
        with landing_reader(storage, kept.landing_id) as reader:
            write = partial(write_sparse, reader)
            outcome = _boot(image, kept.format, machine, write, settings, BEFORE_READY_S)
        report = _reported(image, outcome, catalog, image.owner)
    if not report.booted:
        raise BootFailed(image.name, report.bios_mode, report.cpu_architecture, report.evidence)
    return report


def _machine(image: Image) -> Machine:
    assert image.cpu_architecture is not None
    return machine_for(image.bios_mode or "Legacy", image.cpu_architecture)


def _reported(
    image: Image, outcome: BootOutcome, catalog: "Catalog", account: str, point: BootPoint = ANYTHING
) -> BootCheckReport:
    """Log what came of it, in the event log, the run's log and an artifact."""
    report = BootCheckReport.model_validate(
        {
            "image_id": image.id,
            "cpu_architecture": image.cpu_architecture,
            "bios_mode": image.bios_mode or "Legacy",
            "checked_at": catalog.now(),
            **point.model_dump(),
            **outcome.model_dump(),
        }
    )
    with changing(catalog, account) as change:
        change.record(events.IMAGE_BOOT_CHECKED, f"image:{image.id}", after=report)
    run_logger().info("%s: %s", "booted" if report.booted else "did not boot", report.evidence)
    quietly(lambda: create_markdown_artifact(markdown(image, report), key=f"boot-{image.id}"))
    return report


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


def _whole(catalog: "Catalog", image: Image) -> Replica:
    for replica in whole_replicas(catalog, image.id):
        return replica
    raise InvalidRequest("image_id", image.id, "an image with an undamaged replica; verify its replicas first")


def _boot(
    image: Image,
    image_format: ImageFormat,
    machine: Machine,
    write: Callable[[Path, Progress], object],
    settings: Settings,
    timeout_s: float,
    point: BootPoint = ANYTHING,
) -> BootOutcome:
    def copy(file: Path) -> None:
        with progress(f"boot-copy-{image.id}", f"copy {image.name} to boot it") as meter:
            write(file, meter)

    return boot_copy(image, image_format, machine, copy, settings, timeout_s, point)
