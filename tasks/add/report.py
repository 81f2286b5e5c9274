"""The report of an add: facts, digests, checks and timings as an artifact in the Prefect UI."""

from collections.abc import Sequence
from contextlib import suppress

import httpx
from prefect.artifacts import create_markdown_artifact
from prefect.exceptions import PrefectException

from catalog.records import Image, QualityReport, Replica
from tasks.runtime.resources import open_resources
from tasks.runtime.retries import retrying
from tasks.runtime.task import task


@task(task_run_name="report on {image.name}", **retrying())
def report(image: Image, timings: Sequence[tuple[str, float]]) -> str:
    """Write the artifact `image-<id>` and return its markdown. timings: (what, seconds)."""
    with open_resources() as (_, catalog):
        replicas = tuple(catalog.replicas(image.id))
    text = markdown(image, replicas, timings)
    with suppress(PrefectException, httpx.HTTPError):
        create_markdown_artifact(text, key=f"image-{image.id}", description=f"{image.name}: {image.status}")
    return text


def markdown(image: Image, replicas: Sequence[Replica], timings: Sequence[tuple[str, float]]) -> str:
    """Return the report as GitHub-flavoured markdown."""
    parts = [f"# {_cell(image.name)}: {image.status}", _facts(image), _boot(image), _replicas(replicas)]
    parts += [_findings(image), _checks(image.quality), _timings(timings)]
    return "\n\n".join(part for part in parts if part)


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in row) + " |" for row in lines)


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")


def _facts(image: Image) -> str:
    rows = [
        ("id", image.id), ("source", image.source), ("format added", image.format), ("format stored", image.format_stored),
        ("size", f"{image.size_bytes} bytes"), ("virtual size", f"{image.virtual_size_bytes} bytes"),
        ("newly stored", f"{image.actual_size_bytes} bytes"), ("MD5", f"`{image.md5}`"), ("SHA-256", f"`{image.sha256}`"),
        ("expected checksum", image.expected_checksum or "none given"), ("BIOS mode", image.bios_mode or "-"),
    ]  # fmt: skip
    return _table(("fact", "value"), rows)


def _boot(image: Image) -> str:
    if image.boot is None or image.image_type == "Volume":
        return ""
    facts = [(name.replace("_", " "), _known(value)) for name, value in image.boot.model_dump(mode="json").items()]
    text = "## What would boot\n\n" + _table(("found in the bytes", "value"), facts)
    return text + "".join(f"\n\n> warning: {_cell(w)}" for w in image.warnings)


def _known(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    if value is None:
        return "unknown"
    return ("no", "yes")[value] if isinstance(value, bool) else str(value)


def _replicas(replicas: Sequence[Replica]) -> str:
    rows = [(r.image_storage, r.status, r.location, r.format, r.size_bytes, r.stored_bytes) for r in replicas]
    return "## Where it is\n\n" + _table(
        ("image storage", "status", "location", "format", "size", "newly stored"), rows
    )


def _findings(image: Image) -> str:
    if image.verdict is None or not image.verdict.findings:
        return ""
    rows = [(f.severity, f.sentence, f"{f.rule} v{f.rule_version}", f.offset) for f in image.verdict.findings]
    return f"## Findings (rules {image.verdict.rule_set})\n\n" + _table(
        ("severity", "sentence", "rule", "offset"), rows
    )


def _checks(quality: QualityReport | None) -> str:
    if quality is None:
        return ""
    rows = [("pass" if c.success else "FAIL", c.sentence, c.name) for c in quality.checks]
    return "## Data quality\n\n" + _table(("result", "what is checked", "expectation"), rows)


def _timings(timings: Sequence[tuple[str, float]]) -> str:
    return "## Time\n\n" + _table(("step", "seconds"), [(what, f"{seconds:.2f}") for what, seconds in timings])
