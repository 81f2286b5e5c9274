"""Try whether an image boots: QEMU runs it, without hardware help, until something other than the firmware shows itself.

What counts is text after the firmware's own hand-over line, or a screen that changed its mode after it. The firmware's
complaint that nothing boots, or silence after the hand-over, ends the attempt.
"""

import os
import selectors
import socket
import struct
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from catalog.records import Architecture, BiosMode, BootPoint, Media, Record
from storage.boot import console_text
from storage.boot.cloud_seed import CloudSeed
from storage.boot.machine import machine_command
from storage.boot.qmp import Monitor
from storage.programs.confine import running

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


@dataclass(frozen=True, slots=True)
class Aim:
    """How far a boot has to come, and the seed by which a guest tells of it."""

    point: BootPoint
    seed: CloudSeed | None

    def reached(self, screen: str, serial: str) -> str:
        """Return what shows that it came there, an empty string while nothing does."""
        if self.seed is None:
            return console_text.asks_for_login(screen, serial)
        told = self.seed.told(serial)
        return told.sentence(self.point.command) if told is not None and told.well else ""

    def missed(self, serial: str) -> str:
        """Return what the guest said went wrong, an empty string while nothing did."""
        told = self.seed.told(serial) if self.seed is not None else None
        return told.sentence(self.point.command) if told is not None and not told.well else ""

    @property
    def missing(self) -> str:
        """Say what did not happen."""
        return "asked for no login" if self.seed is None else "cloud-init did not tell that it is done"


def boot_image(
    path: Path,
    image_format: str,
    bios_mode: BiosMode,
    architecture: Architecture,
    media: Media,
    timeout_s: float,
    work: Path,
    point: BootPoint = ANYTHING,
) -> BootOutcome:
    """Boot a file that the inspector has passed, and tell what came of it; the file is not changed.

    work: an empty folder of the caller's, gets `screen.png` and the seed. point: how far it has to come. Raises MissingProgram, InvalidRequest.
    """
    seed = CloudSeed.new(point.command) if point.until == "cloud-init" else None
    if seed is not None:
        seed.write(work / "seed")
    ours, theirs = socket.socketpair()
    with ours, theirs:
        fd = theirs.fileno()
        command = machine_command(
            path, image_format, bios_mode, architecture, media, timeout_s, work, fd, work / "seed" if seed else None
        )
        with running(command, pass_fds=(fd,)) as process:
            theirs.close()
            by_bios = architecture == "x86_64" and bios_mode == "Legacy"
            return _Attempt(process, ours, by_bios, work / "screen.png", Aim(point, seed)).watch(timeout_s)


class _Attempt:
    """One run of QEMU, watched on its serial console and its screen."""

    def __init__(
        self, process: "subprocess.Popen[bytes]", channel: socket.socket, by_bios: bool, picture: Path, aim: "Aim"
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
