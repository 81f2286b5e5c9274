"""A tiny client of QEMU's machine protocol: one JSON object a line, over a connected socket."""

import json
import re
import socket
from pathlib import Path

_WORD = re.compile(r"0x([0-9a-f]{8})\b")
TEXT_SCREEN = 0xB8000
TEXT_BYTES = 80 * 25 * 2


class Monitor:
    """Talks to one QEMU. Raises OSError when it went away or does not answer in time."""

    def __init__(self, channel: socket.socket, timeout_s: float = 10) -> None:
        channel.settimeout(timeout_s)
        self._lines = channel.makefile("rwb")
        self._read()  # greeting
        self.ask("qmp_capabilities")

    def ask(self, command: str, **arguments: object) -> object:
        """Run a command and return its result; QEMU's refusal is a ValueError."""
        self._lines.write(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
        self._lines.flush()
        while True:
            answer = self._read()
            if "error" in answer:
                raise ValueError(f"{command}: {answer['error']}")
            if "return" in answer:
                return answer["return"]

    def text_screen(self) -> str:
        """Read what a PC shows in text mode, from its video memory; noise while it is in a graphics mode."""
        dump = self.ask("human-monitor-command", **{"command-line": f"xp /{TEXT_BYTES // 4}xw {TEXT_SCREEN:#x}"})
        words = (int(word, 16) for word in _WORD.findall(str(dump).replace(":", " :")))
        cells = bytes(byte for word in words for byte in (word & 0xFF, word >> 16 & 0xFF))
        text = "".join(chr(byte) if 32 <= byte < 127 else " " for byte in cells)
        return "\n".join(text[row : row + 80].rstrip() for row in range(0, len(text), 80)).strip()

    def picture(self, target: Path) -> None:
        """Write what the screen shows as PNG."""
        self.ask("screendump", filename=str(target), format="png")

    def _read(self) -> dict[str, object]:
        line = self._lines.readline(4 << 20)
        if not line:
            raise ConnectionError("QEMU closed its monitor")
        answer: dict[str, object] = json.loads(line)
        return answer
