"""A NoCloud seed that has cloud-init say on the console how it ended, and what a command then printed.

The guest writes lines of its own, each with a number that nobody else knows, again and again until it is heard: kernel messages and
login prompts come in between. What a command printed is in base64, so that it can't look like anything else.
"""

import base64
import json
import re
import secrets
from dataclasses import dataclass
from pathlib import Path

from catalog.records import Record

LABEL = "CIDATA"
MOST_SAID = 600  # bytes of what each says
SCRIPT = "/run/imagewright-point.sh"
DONE, DEGRADED = 0, 2  # how `cloud-init status` ends where it came to its end
_TEMPLATE = """said=$(cloud-init status --wait --long 2>&1); state=$?
printed=$({command}) ; code=$?
told() {{ printf '%s' "$2" | tail -c {most} | base64 | tr -d '\\n' | sed "s/^/{nonce} $1 /; s/\\$/ ./"; }}
for _ in 1 2 3 4 5 6 7 8 9 10; do
  for line in "$(told "cloud-init $state" "$said")" "$(told "command $code" "$printed")"; do
    for console in /dev/console /dev/ttyS0 /dev/ttyAMA0; do
      [ -c $console ] && printf '\\n%s\\n' "$line" > $console
    done
  done
  sleep 2
done
"""


class Told(Record):
    """What a guest told of itself. state: how cloud-init ended; code: how the command did."""

    state: int
    status: str
    code: int
    printed: str

    @property
    def well(self) -> bool:
        """Tell whether cloud-init came to its end without an error, and the command too."""
        return self.state in (DONE, DEGRADED) and self.code == 0

    def sentence(self, command: str) -> str:
        """Say it in a line."""
        said = f"cloud-init {_line(self.status)}"
        if not command:
            return said
        ended = "" if self.code == 0 else f" ended with {self.code}"
        return f"{said}; {command!r}{ended}: {_line(self.printed) or 'printed nothing'}"


@dataclass(frozen=True, slots=True)
class CloudSeed:
    """What a guest's cloud-init is given. command: run by its shell when cloud-init is done, "" for none."""

    command: str = ""
    nonce: str = ""

    @classmethod
    def new(cls, command: str) -> "CloudSeed":
        """Make one with a number of its own."""
        return cls(command, f"imagewright-{secrets.token_hex(16)}")

    def write(self, folder: Path) -> None:
        """Write the seed's files into an empty folder."""
        folder.mkdir()
        (folder / "meta-data").write_text(json.dumps({"instance-id": self.nonce, "local-hostname": "imagewright"}))
        (folder / "user-data").write_text(f"#cloud-config\n{json.dumps(self._config())}\n")

    def told(self, console: str) -> Told | None:
        """Return what the guest told on its console, None while it did not."""
        found = {
            kind: (int(code), _plain(text))
            for kind, code, text in re.findall(
                rf"{self.nonce} (cloud-init|command) ([0-9]{{1,3}}) ([A-Za-z0-9+/]*={{0,2}}) \.", console
            )
        }
        if len(found) < 2:
            return None
        (state, status), (code, printed) = found["cloud-init"], found["command"]
        return Told(state=state, status=status, code=code, printed=printed)

    def _config(self) -> dict[str, object]:
        packed = base64.b64encode(self._script().encode()).decode()
        file = {"path": SCRIPT, "encoding": "b64", "content": packed, "permissions": "0700"}
        started = [
            "sh",
            "-c",
            f"nohup sh {SCRIPT} </dev/null >/dev/null 2>&1 &",
        ]  # it waits for the end of what starts it
        return {"write_files": [file], "runcmd": [started]}

    def _script(self) -> str:
        inside = base64.b64encode(self.command.encode()).decode()
        command = f'sh -c "$(printf %s {inside} | base64 -d)" 2>&1' if self.command else "true"
        return _TEMPLATE.format(command=command, most=MOST_SAID, nonce=self.nonce)


def _plain(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode("utf-8", "replace")
    except ValueError:
        return ""


def _line(text: str) -> str:
    """Return text as one line of printable characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:300]
