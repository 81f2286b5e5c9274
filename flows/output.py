"""How commands print records: as JSON for programs, as a few aligned lines for people."""

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from catalog.records import BootCheckReport, CleanupReport, Image, QualityReport, Record, SyncReport

UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def print_json(value: Record | Iterable[Record]) -> None:
    """Print exactly one JSON document."""
    plain = (
        value.model_dump(mode="json")
        if isinstance(value, Record)
        else [r.model_dump(mode="json") for r in value]
    )
    json.dump(plain, sys.stdout, ensure_ascii=False, indent=2)
    print()


def print_record(record: Record) -> None:
    """Print the fields that are set, one a line; what a plan or a report lists follows, one a line as well."""
    fields = {k: v for k, v in record.model_dump(mode="json").items() if v not in (None, "", [], (), {})}
    lists = {name: value for name, value in fields.items() if _is_list_of_records(value)}
    width = max(map(len, fields.keys() - lists.keys()), default=0)
    for name, value in fields.items():
        if name not in lists:
            print(f"{name:<{width}}  {_text(name, value)}")
    for name, items in lists.items():
        print(f"{name}:")
        for item in items:
            print("  " + "  ".join(_part(key, v) for key, v in item.items() if v not in (None, "", 0, [])))


def _part(name: str, value: object) -> str:
    """Return a value of a list's line; a number says what it counts."""
    return _text(name, value) if isinstance(value, str) else f"{name} {_text(name, value)}"


def print_result(result: Record | Sequence[Record]) -> None:
    """Print what a flow returned: images as a table, any other record by its fields."""
    records = (result,) if isinstance(result, Record) else tuple(result)
    if not isinstance(result, Record) and all(isinstance(record, Image) for record in records):
        print_table(records, ("id", "name", "status", "state"))
        return
    for place, record in enumerate(records):
        if place:
            print()
        print_record(record)


def _is_list_of_records(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


def failures(result: object) -> str:
    """Return what a report says has failed, as the end of a sentence; empty where nothing has."""
    if isinstance(result, BootCheckReport):
        mode = f"in {result.bios_mode} mode on {result.cpu_architecture}"
        return (
            "" if result.booted else f"failed: image {result.image_id} did not boot {mode}: {result.evidence}"
        )
    if isinstance(result, QualityReport):
        return (
            ""
            if result.success
            else f"failed for {len(result.failed)} of {len(result.checks)}: {'; '.join(result.failed)}"
        )
    found: list[tuple[str, str | None]] = []
    if isinstance(result, CleanupReport):
        found, count = (
            [(i.subject, i.reason) for i in result.items if i.outcome == "failed"],
            len(result.items),
        )
    elif isinstance(result, SyncReport):
        found = [(f"image:{i.image_id}", i.error) for i in result.images if i.outcome == "failed"]
        count = len(result.images)
    why = "; ".join(f"{subject}: {reason}" for subject, reason in found)
    return f"failed for {len(found)} of {count}: {why}" if found else ""


def print_table(records: Iterable[Record], columns: Sequence[str]) -> None:
    """Print one line a record, columns aligned."""
    rows = [[_text(c, r.model_dump(mode="json").get(c)) for c in columns] for r in records]
    widths = [max([len(c), *(len(row[i]) for row in rows)]) for i, c in enumerate(columns)]
    for row in [list(columns), *rows]:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _quality(report: dict[str, Any]) -> str:
    passed = sum(check["success"] for check in report["checks"])
    return f"{passed} of {len(report['checks'])} checks passed" + "".join(
        f"; {check['sentence']}" for check in report["checks"] if not check["success"]
    )


def _verdict(verdict: dict[str, Any]) -> str:
    found = "; ".join(f"{f['severity']}: {f['sentence']}" for f in verdict["findings"])
    return f"{verdict['format']}; {found or 'nothing found against it'} (rules {verdict['rule_set']})"


def _boot(facts: dict[str, Any]) -> str:
    known = {name: value for name, value in facts.items() if value not in (None, [], "")}
    return ", ".join(f"{name} {' '.join(v) if isinstance(v, list) else v}" for name, v in known.items())


SUMMARIES: dict[str, Callable[[dict[str, Any]], str]] = {
    "quality": _quality,
    "verdict": _verdict,
    "boot": _boot,
}
"""Nested facts as one line for people; `--json` has them whole."""


def _text(name: str, value: object) -> str:
    if name in SUMMARIES and isinstance(value, dict):
        return SUMMARIES[name](value)
    if (name == "bytes" or name.endswith("_bytes")) and isinstance(value, int):
        return f"{value} ({readable(value)})" if value >= 1024 else str(value)
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False)
    return "" if value is None else str(value)


def readable(count: int) -> str:
    """Return a size as people read it."""
    value = float(count)
    for unit in UNITS[:-1]:
        if abs(value) < 1024:
            return f"{value:.4g} {unit}"
        value /= 1024
    return f"{value:.4g} {UNITS[-1]}"
