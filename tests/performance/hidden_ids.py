"""Whether the time of an answer tells that a thing is there which one may not see: `python -m tests.performance.hidden_ids [TIMES]`.

Each path is asked, in an order by chance, for something of another account and for two things that nobody has. Medians of the CPU
milliseconds of the whole process are compared with what those of the two things differ by: what others do on the machine is not in them.
"""

import random
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

import pytest
from starlette.testclient import TestClient

from catalog import open_catalog
from tests.catalog.samples import an_export, an_image
from tests.console.api.v1.people import everybody, service

TIMES = 1000
PATHS = (
    ("GET", "images/{image}"), ("GET", "images/{image}/replicas"), ("GET", "images/{image}/content"),
    ("GET", "images/{image}/extents"), ("GET", "exports/{export}"), ("POST", "operations/delete-image"),
)  # fmt: skip


def medians(
    client: TestClient, who: dict[str, str], path: tuple[str, str], asked: Sequence[dict[str, str]], times: int
) -> list[float]:
    """Return the median of CPU milliseconds for each thing, asked in an order that no cache or clock favours."""
    method, place = path
    took: list[list[float]] = [[] for _ in asked]
    for _ in range(times):
        for number in random.sample(range(len(asked)), len(asked)):
            ids = asked[number]
            body = {"image_ids": [ids["image"]]} if method == "POST" else None
            began = time.process_time()
            answer = client.request(method, f"/api/v1/{place.format(**ids)}", json=body, headers=who)
            took[number].append(1000 * (time.process_time() - began))
            assert answer.status_code == 404, answer.text
    return [statistics.median(one) for one in took]


def main(arguments: Sequence[str]) -> None:
    """Measure and print."""
    times = int(arguments[0]) if arguments else TIMES
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMAGEWRIGHT_HOME", str(Path(folder) / "home"))
        patch.setenv("IMAGEWRIGHT_API_REQUESTS_PER_MINUTE", "0")
        image = an_image(name="theirs", owner="others", status="Ready")
        export = an_export(image)
        with open_catalog() as catalog, catalog.changing("admin") as change:
            change.save_image(image)
            change.save_export(export)
        with service() as client:
            who = everybody()["user"]
            theirs = {"image": image.id, "export": export.id}
            nothing, other = ({"image": str(uuid4()), "export": str(uuid4())} for _ in range(2))
            for path in PATHS:
                hidden, none, again = medians(client, who, path, (theirs, nothing, other), times)
                sys.stdout.write(
                    f"{' '.join(path)}: {hidden:.3f} ms hidden, {none:.3f} ms not there; twice not there differs by "
                    f"{abs(none - again):.3f} ms\n"
                )
                sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
