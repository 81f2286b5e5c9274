"""`make demo`: a real bootable image, added over HTTP through Prefect, listed, exported and compared.

    python -m tests.demo [URL or file]

Everything it makes lies below `.cache/demo`; a second run finds the disk built and Prefect's database migrated.
"""

import functools
import json
import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from catalog.settings import load_settings
from flows.server.embedded import embedded_server, wait_until_ready
from flows.server.same_catalog import remember_server
from tests.services.images import tiny_disk

PLACE = Path(__file__).parents[1] / ".cache" / "demo"
COMMAND = Path(sys.executable).with_name("imagewright")


def main() -> None:
    """Run the demonstration; the exit status is 0 only if the exported file is the file that was added."""
    given = sys.argv[1] if len(sys.argv) > 1 else ""
    os.environ.setdefault("IMAGEWRIGHT_HOME", str(PLACE / "home"))
    os.environ["IMAGEWRIGHT_ALLOWED_NETWORKS"] = "127.0.0.0/8"
    began = time.monotonic()
    with _source(given) as (url, file, image_format), embedded_server() as ready:
        say("starting Prefect's embedded server")
        wait_until_ready(ready)
        remember_server(load_settings(), os.environ["PREFECT_API_URL"])
        image = add(url, image_format)
    say("what is there")
    run("images")
    compare(image, file)
    say(f"done in {time.monotonic() - began:.0f} s. Where everything is:")
    home = Path(os.environ["IMAGEWRIGHT_HOME"])
    for what, where in (
        ("catalog", home / "catalog.db"),
        ("image storage", home / "imagestore"),
        ("exports", home / "exports"),
    ):
        print(f"  {what:14} {where}")
    print("  next           make serve, then add an image in the Prefect UI; imagewright --help")


def add(url: str, image_format: str) -> dict[str, object]:
    """Add the image, export it, and return the image's record with the export's under "export"."""
    say(f"adding {url}")
    # An id of its own per content would be found Ready at the second run; the demo shows an add each time.
    image_id = str(uuid.uuid4())
    run("add-system-image", "--name", f"demo {time.strftime('%H:%M:%S')}", "--image-format", image_format,
        "--image-path", url, "--image-id", image_id)  # fmt: skip
    say("exporting it")
    image: dict[str, object] = json.loads(output("show", image_id, "--json"))
    image["export"] = json.loads(output("export-image", "--image-id", image_id, "--json"))
    return image


def compare(image: dict[str, object], file: Path | None) -> None:
    """Compare the exported file's MD5, by md5sum, with the catalog's and the source file's. Exits 1 on a difference."""
    export = image["export"]
    assert isinstance(export, dict)
    say(f"md5sum of the exported {export['path']} and of what was added")
    sums = {"exported file": md5sum(str(export["path"])), "catalog, of the export": str(export["md5"])}
    if export["format"] == image["format"]:
        sums["catalog, of the file added"] = str(image["md5"])
        if file:
            sums["file added"] = md5sum(str(file))
    for what, digest in sums.items():
        print(f"  {digest}  {what}")
    if len(set(sums.values())) != 1:
        sys.exit("the exported file is NOT the file that was added")
    print("  all equal")


@contextmanager
def _source(given: str) -> Iterator[tuple[str, Path | None, str]]:
    """Yield (URL, local file or None, format) of the image to add, serving a file over loopback HTTP."""
    if "://" in given:
        yield given, None, _format_of(given)
        return
    say(given or "a real bootable disk: GRUB for BIOS and UEFI")
    file = Path(given).resolve() if given else tiny_disk("bios", "uefi")
    if not file.is_file():
        sys.exit(f"IMAGE: {given!r} is not a file; give a URL or the path of an image file")
    handler = functools.partial(_Quiet, directory=str(file.parent))
    with _QuietServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/{file.name}", file, _format_of(file.name)
        server.shutdown()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing: the demonstration's own lines are enough."""


class _QuietServer(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of a client that only asked for the size and hung up."""


def _format_of(name: str) -> str:
    ending = name.partition("?")[0].rpartition(".")[2].lower()
    return ending if ending in ("qcow2", "vmdk", "iso") else "raw"


def md5sum(path: str) -> str:
    """Return what the system's md5sum says."""
    return subprocess.run(["md5sum", path], check=True, capture_output=True, text=True).stdout.split()[0].lstrip("\\")


def run(*arguments: str) -> None:
    """Run an imagewright command before the user's eyes; end with its status if it fails."""
    print(f"$ imagewright {' '.join(arguments)}", flush=True)
    status = subprocess.run([COMMAND, *arguments], check=False).returncode
    if status:
        sys.exit(status)


def output(*arguments: str) -> str:
    """Run an imagewright command and return what it prints."""
    print(f"$ imagewright {' '.join(arguments)}", flush=True)
    finished = subprocess.run([COMMAND, *arguments], check=False, stdout=subprocess.PIPE, text=True)
    if finished.returncode:
        sys.exit(finished.returncode)
    return finished.stdout


def say(what: str) -> None:
    """Print a heading."""
    print(f"\n== {what}", flush=True)


if __name__ == "__main__":
    main()
