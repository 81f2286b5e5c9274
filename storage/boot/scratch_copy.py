"""Boot from a copy in the scratch folder, and keep the picture of its screen."""

import shutil
from collections.abc import Callable
from pathlib import Path

from catalog.files import written_aside
from catalog.privacy import make_folder
from catalog.records import BootPoint, Image, ImageFormat
from catalog.settings import Settings
from storage.boot.trial import BootOutcome, boot_image
from storage.scratch import scratch_folder


def boot_copy(
    image: Image,
    image_format: ImageFormat,
    write: Callable[[Path], object],
    settings: Settings,
    timeout_s: float,
    point: BootPoint,
) -> BootOutcome:
    """Boot a copy that `write` makes, as the image was declared, and tell what came of it; what the guest writes is lost.

    Raises what `write` and `boot_image` raise.
    """
    assert image.cpu_architecture is not None
    with scratch_folder(settings, "boot") as scratch:
        file, work = scratch / f"image.{image_format}", scratch / "work"
        work.mkdir()
        write(file)
        mode = image.bios_mode or "Legacy"
        outcome = boot_image(file, image_format, mode, image.cpu_architecture, image.media, timeout_s, work, point)
        return _with_kept_picture(outcome, screenshot_path(settings, image.id))


def screenshot_path(settings: Settings, image_id: str) -> Path:
    """Return where the newest picture of an image's screen is kept."""
    return settings.home / "screenshots" / f"{image_id}.png"


def _with_kept_picture(outcome: BootOutcome, target: Path) -> BootOutcome:
    if outcome.screenshot is None:
        return outcome
    make_folder(target.parent)
    with Path(outcome.screenshot).open("rb") as made, written_aside(target) as kept:
        shutil.copyfileobj(made, kept)
    return outcome.model_copy(update={"screenshot": str(target)})
