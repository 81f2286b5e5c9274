"""Try whether an image boots: QEMU runs it, without hardware help, until something other than the firmware shows itself.

What counts is text after the firmware's own hand-over line, or a screen that changed its mode after it. The firmware's
complaint that nothing boots, or silence after the hand-over, ends the attempt.
"""

import os
import selectors
import shutil
import socket
import struct
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from catalog.files import written_aside
from catalog.privacy import make_folder
from catalog.records import BootPoint, Image, ImageFormat, Media, Record
from catalog.settings import Settings
from storage.boot import console_text
from storage.boot.aim import Aim
from storage.boot.machine import Machine, machine_command
from storage.boot.qmp import Monitor
from storage.programs.confine import running
from storage.scratch import scratch_folder

POLL_S = 0.5
LINGER_S = 1.5
"""Time without text that a boot loader gets to draw its screen before the picture is taken; at most MAX_LINGERS times."""
MAX_LINGERS = 4
SILENCE_S = 25
"""Silence after a BIOS' hand-over that counts as failed: loaders speak within 2 s here, and zeros run as code hang forever."""
PC_TEXT_MODE = (720, 400)  # pixels; a BIOS leaves the screen in it, and its text is read as text
MAX_CONSOLE = 256 << 10


ANYTHING = BootPoint()


class BootOutcome(Record):
    """What came of booting an image."""

    booted: bool
    evidence: str  # what was seen, or why it counts as failed
    seconds: float
    screenshot: str | None = None  # path of a PNG
    console: str = ""  # the last 4,000 printable characters of the serial console


def boot_copy(
    image: Image,
    image_format: ImageFormat,
    machine: Machine,
    write: Callable[[Path], object],
    settings: Settings,
    timeout_s: float,
    point: BootPoint,
) -> BootOutcome:
    """Boot a copy that `write` makes in the scratch folder, and keep the picture of its screen; what the guest writes is lost.

    Raises what `write` and `boot_image` raise.
    """
    with scratch_folder(settings, "boot") as scratch:
        file, work = scratch / f"image.{image_format}", scratch / "work"
        work.mkdir()
        write(file)
        outcome = boot_image(file, image_format, machine, image.media, timeout_s, work, point)
        if outcome.screenshot is None:
            return outcome
        pictures = settings.home / "screenshots"
        make_folder(pictures)
        newest = pictures / f"{image.id}.png"
        with Path(outcome.screenshot).open("rb") as made, written_aside(newest) as kept:
            shutil.copyfileobj(made, kept)
    return outcome.model_copy(update={"screenshot": str(newest)})


def boot_image(
    path: Path,
    image_format: str,
    machine: Machine,
    media: Media,
    timeout_s: float,
    work: Path,
    point: BootPoint = ANYTHING,
) -> BootOutcome:
    """Boot a file that the inspector has passed, and tell what came of it; the file is not changed.

    work: an empty folder of the caller's, gets `screen.png` and the seed. point: how far it has to come. Raises MissingProgram.
    """
    aim, seed = Aim.at(point), None
    if aim.seed is not None:
        seed = work / "seed"
        aim.seed.write(seed)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        fd = theirs.fileno()
        command = machine_command(machine, path, image_format, media, timeout_s, work, fd, seed)
        with running(command, pass_fds=(fd,)) as process:
            theirs.close()
            by_bios = machine.firmware is None
            return _Attempt(process, ours, by_bios, work / "screen.png", aim).watch(timeout_s)


class _Attempt:
    """One run of QEMU, watched on its serial console and its screen."""

    def __init__(
        self, process: "subprocess.Popen[bytes]", channel: socket.socket, by_bios: bool, picture: Path, aim: Aim
    ) -> None:
        self._aim, self._begun_by = aim, ""
        self._process, self._channel, self._by_bios, self._picture = (process, channel, by_bios, picture.absolute())
        self._serial, self._screen, self._running = bytearray(), "", True
        self._monitor: Monitor | None = None
        self._firmware_screen: tuple[bytes, int] | None = None  # its picture and how much serial text went with it
        self._handed_over_at: float | None = None

    def watch(self, timeout_s: float) -> BootOutcome:
        """Look until something is seen, QEMU ends or the time is over."""
        begun = time.monotonic()
        evidence, failed = "", ""
        while not evidence and not failed:
            self._listen(POLL_S)
            self._look()
            self._begun_by = self._begun_by or self._evidence()
            evidence = self._reached()
            failed = self._failure() or ("" if time.monotonic() - begun < timeout_s else self._nothing(timeout_s))
        seconds = round(time.monotonic() - begun, 2)
        if evidence:
            self._linger()
        return BootOutcome(
            booted=bool(evidence),
            evidence=evidence or failed,
            seconds=seconds,
            screenshot=str(self._picture) if self._picture.is_file() else None,
            console=console_text.printable(bytes(self._serial))[-4000:],
        )

    def _listen(self, seconds: float) -> None:
        """Read the serial console for some time, shorter when QEMU closes it."""
        pipe, end = self._process.stdout, time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            if pipe is not None:
                selector.register(pipe, selectors.EVENT_READ)
            while pipe is not None and self._running and selector.select(max(end - time.monotonic(), 0)):
                data = os.read(pipe.fileno(), 1 << 16)
                self._running = bool(data)
                self._serial += data
                del self._serial[:-MAX_CONSOLE]

    def _linger(self) -> None:
        """Go on while the loader still writes, then take the last picture."""
        for _ in range(MAX_LINGERS):
            before = len(self._serial)
            self._listen(LINGER_S)
            if len(self._serial) == before:
                break
        self._look()

    def _look(self) -> None:
        """Take a picture, and read the screen of a PC in text mode: its BIOS writes nothing to the serial console."""
        with suppress(OSError, ValueError):
            if self._monitor is None:
                self._monitor = Monitor(self._channel)
            self._monitor.picture(self._picture)
            if self._by_bios:
                self._screen = self._monitor.text_screen()

    def _evidence(self) -> str:
        serial = console_text.printable(bytes(self._serial))
        seen = console_text.evidence(self._screen, serial, by_bios=self._by_bios)
        if seen or not console_text.handed_over(self._screen, serial):
            return seen
        if self._handed_over_at is None:
            self._handed_over_at = time.monotonic()
            return ""
        return self._drawn()

    def _reached(self) -> str:
        """Return what shows that it came as far as it has to, an empty string while nothing does."""
        if self._aim.point.until == "boots" or not self._begun_by:
            return self._begun_by
        return self._aim.reached(self._screen, console_text.printable(bytes(self._serial)))

    def _nothing(self, timeout_s: float) -> str:
        if self._begun_by:
            return f"it began to boot ({self._begun_by}) and {self._aim.missing} for {timeout_s:g} s"
        return f"nothing but the firmware was seen for {timeout_s:g} s"

    def _drawn(self) -> str:
        """Tell whether the screen changed after the hand-over without a word on the serial console: firmware writes to both."""
        picture = self._picture.read_bytes() if self._picture.is_file() else b""
        if self._firmware_screen is None or self._firmware_screen[1] != len(self._serial):
            self._firmware_screen = picture, len(self._serial)
        if picture == self._firmware_screen[0] or (self._by_bios and _mode(picture) == PC_TEXT_MODE):
            return ""
        width, height = _mode(picture)
        return f"a screen of {width} x {height} that the firmware did not draw"

    def _failure(self) -> str:
        serial = console_text.printable(bytes(self._serial))
        quiet = self._handed_over_at is not None and time.monotonic() - self._handed_over_at > SILENCE_S
        if self._aim.point.until != "boots" and (words := console_text.panic(self._screen, serial)):
            return words
        if words := self._aim.missed(serial):
            return words
        if self._by_bios and quiet and not self._begun_by:
            return f"the firmware handed over and nothing was seen for {SILENCE_S} s"
        return console_text.complaint(self._screen, serial) or ("" if self._running else self._last_words())

    def _last_words(self) -> str:
        error = os.read(self._process.stderr.fileno(), 2000) if self._process.stderr else b""
        return f"QEMU ended: {error.decode('utf-8', 'replace').strip() or 'without a word'}"[:500]


def _mode(picture: bytes) -> tuple[int, int]:
    """Return width and height of a PNG."""
    width, height = struct.unpack(">II", picture[16:24].ljust(8, b"\0"))
    return width, height
