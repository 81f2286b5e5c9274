"""`make demo-golden`: a publisher on loopback, followed: what is signed, boots and is clean becomes the latest; what is not stays, with its reason.

    python -m tests.demo_golden

Four builds of a really bootable Debian: a good one, one that a stranger signed, one whose kernel panics, and a newer good one. Then a
recall, the life cycle, and a proof of all that in an empty folder by the public key alone. Everything lies below `.cache/demo-golden`.
"""

import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from catalog.settings import load_settings
from flows.server.embedded import embedded_server, wait_until_ready
from flows.server.same_catalog import remember_server
from tests.demo import _Quiet, _QuietServer, say
from tests.services.guest_images import debian_disk
from tests.services.openpgp import Publisher, publisher
from tests.tasks.promotion.layouts import Layout, Mirror

ROOT = Path(__file__).parents[1]
PLACE = ROOT / ".cache" / "demo-golden"
LAYOUT = Layout("cloud", "debian-12-amd64-{v}.qcow2", "SHA256SUMS", {})
MENU, BOOTED = b"menuentry 'Debian'", b"root=LABEL=root ro console=tty0 c"
PANICS = b"rdinit=/x  ro console=tty0      c"
"""What a kernel is told that shall find nothing to begin with; as long as what it stands for."""


def main() -> None:
    """Run the demonstration; the exit status is 0 only if each build became what it should."""
    shutil.rmtree(PLACE, ignore_errors=True)
    PLACE.mkdir(parents=True)
    os.environ["IMAGEWRIGHT_HOME"] = str(PLACE / "home")
    os.environ["IMAGEWRIGHT_ALLOWED_NETWORKS"] = "127.0.0.0/8"
    began, mirror = time.monotonic(), Mirror(PLACE / "www")
    signer, stranger = (publisher(PLACE / "keys" / name) for name in ("signer", "stranger"))
    with _served(mirror.root) as url, embedded_server() as ready:
        say("starting Prefect's embedded server")
        wait_until_ready(ready)
        remember_server(load_settings(), os.environ["PREFECT_API_URL"])
        configure(url, signer)
        follow(mirror, signer, stranger)
        go_back()
    prove()
    say(f"done in {time.monotonic() - began:.0f} s")


def configure(url: str, signer: Publisher) -> None:
    """Set a family and its watch, as code."""
    say("a family and its watch, as code")
    key = "".join(f"    {line}\n" for line in signer.key.splitlines())
    text = (
        "families:\n- {name: debian-12, signature: required, boot_check: login, keep_last: 1}\n"
        f"watches:\n- name: debian-12-amd64\n  family: debian-12\n  kind: listing\n  url: {url}/cloud/\n"
        "  pattern: debian-12-{arch}-{version}.qcow2\n  checksums_url: SHA256SUMS\n  add: {os: Debian 12}\n"
        f"  public_keys:\n  - |\n{key}"
    )
    (PLACE / "catalogue.yaml").write_text(text)
    run("apply", str(PLACE / "catalogue.yaml"))


def follow(mirror: Mirror, signer: Publisher, stranger: Publisher) -> None:
    """Put out one build after the other, and look what becomes of each."""
    for version, by, menu, told, becomes in (
        ("1.0", signer, MENU, BOOTED, "1.0"),
        ("1.1", stranger, MENU, BOOTED, "1.0"),
        ("1.2", signer, MENU, PANICS, "1.0"),
        ("1.3", signer, MENU, BOOTED, "1.3"),
    ):
        what = "a stranger signed it" if by is stranger else "its kernel panics" if told is PANICS else "good"
        say(f"build {version} is put out: {what}")
        mirror.publish(LAYOUT, version, a_build(version, menu, told), by)
        run("check-watches", fails=version != becomes)
        latest = json.loads(run("latest", "debian-12", "--json", quiet=True))
        print(f"  the latest is {latest['build_version']}")
        require(latest["build_version"] == becomes, f"the latest should be {becomes}")
    say("what each gate saw")
    for promotion in json.loads(run("promotions", "debian-12", "--json", quiet=True)):
        print(f"  {promotion['build_version']} {promotion['kind']}: {promotion['reason']}")
        for one in promotion["evidence"]:
            print(f"    {one['gate']}: {one['sentence']}")
    say("what was refused stays, disabled, with its reason")
    bad = [i for i in json.loads(run("images", "--json", quiet=True)) if i["state"] == "Disabled"]
    for image in bad:
        print(f"  {image['name']}: {image['error']}")
    require([image["build_version"] for image in bad] == ["1.2"], "1.2 should be kept, disabled")


def go_back() -> None:
    """Recall the latest, and apply the family's rules."""
    latest = json.loads(run("latest", "debian-12", "--json", quiet=True))
    say(f"{latest['build_version']} is recalled")
    run("recall-image", latest["id"], "a hole in its shell")
    now = json.loads(run("latest", "debian-12", "--json", quiet=True))
    require(now["build_version"] == "1.0", "the latest should be 1.0 again")
    say("the life cycle: what stays, what goes, and why")
    run("apply-life-cycle", "--plan-only")


def prove() -> None:
    """Verify the lineage of the latest with the public key alone, in an empty folder and without a catalog."""
    say("proven by the public key alone, in an empty folder")
    latest = json.loads(run("latest", "debian-12", "--json", quiet=True))
    lineage, key = run("lineage", latest["id"], "--signed", quiet=True), run("public-key", quiet=True)
    with tempfile.TemporaryDirectory() as empty:
        (Path(empty) / "lineage.json").write_text(lineage)
        (Path(empty) / "key.pem").write_text(key)
        os.environ["IMAGEWRIGHT_HOME"] = f"{empty}/none"
        run("verify-lineage", "lineage.json", "--public-key", "key.pem", folder=Path(empty))
        require(
            sorted(p.name for p in Path(empty).iterdir()) == ["key.pem", "lineage.json"], "nothing else should be there"
        )


def a_build(version: str, menu: bytes, told: bytes) -> bytes:
    """Return a bootable disk of a version, as qcow2. menu: what tells builds apart; told: what its kernel is told."""
    raw, packed = PLACE / "build.raw", PLACE / "build.qcow2"
    data = debian_disk().read_bytes()
    assert MENU in data
    assert BOOTED in data
    named = f"menuentry 'Deb{version}'".encode().ljust(len(menu))[: len(menu)]
    with raw.open("wb") as file:
        patched = data.replace(MENU, named, 1).replace(BOOTED, told, 1)
        for start in range(0, len(patched), 1 << 20):
            block = patched[start : start + (1 << 20)]
            file.seek(start)
            file.write(block) if any(block) else file.truncate(start + len(block))
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, packed], check=True)
    return packed.read_bytes()


@contextmanager
def _served(root: Path) -> Iterator[str]:
    root.mkdir()
    with _QuietServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(root))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def run(*arguments: str, fails: bool = False, quiet: bool = False, folder: Path | None = None) -> str:
    """Run an imagewright command; end with its status unless that is what was to be expected. quiet: its output is returned only."""
    print(f"$ imagewright {' '.join(arguments)}", flush=True)
    command = [sys.executable, "-m", "flows.cli", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, check=False, text=True, cwd=folder, env=environment, stdout=subprocess.PIPE if quiet else None
    )
    if (done.returncode != 0) is not fails:
        sys.exit(done.returncode or 1)
    return done.stdout or ""


def require(holds: bool, sentence: str) -> None:
    """End with the sentence unless it holds."""
    if not holds:
        sys.exit(f"NOT as it should be: {sentence}")


if __name__ == "__main__":
    main()
