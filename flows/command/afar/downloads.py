"""`imagewright download`: an image or export as a file of this machine."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from flows.client.records import Downloaded
from flows.command.afar.chosen import needed_service
from flows.command.afar.showing import shown
from flows.command.output import print_json

Json = Annotated[bool, Parameter(name="--json", negative="", help="Print exactly one JSON document.")]


def download(
    identity: Annotated[str, Parameter(name="ID", help="Id of the image or exported image.")],
    /,
    *,
    output: Annotated[
        str, Parameter(name=("--output", "-o"), help="File to write; it appears once it is complete and verified.")
    ],
    as_json: Json = False,
) -> None:
    """Download an image or exported image from the service; an interrupted download resumes, holes are not sent."""
    with needed_service() as client, shown(quiet=as_json) as (moved, _):
        try:
            done = client.download(identity, Path(output).expanduser(), moved=moved)
        except KeyboardInterrupt as stopped:
            raise KeyboardInterrupt("; the same command goes on") from stopped
    print_json(done) if as_json else print(_sentence(done))


def _sentence(done: Downloaded) -> str:
    digest = f"sha256:{done.sha256}" if done.sha256 else f"md5:{done.md5}" if done.md5 else ""
    proof = f"{digest} as recorded" if digest else "no digest of it is recorded"
    return f"{done.path}: {done.size_bytes} bytes, {done.received_bytes} of them received, {proof}"
