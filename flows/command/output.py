"""Print records: as JSON for programs, as a few aligned lines for people."""

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from catalog.records import (
    AddReport,
    BootCheckReport,
    CatalogueReport,
    CleanupReport,
    Image,
    LifeCycleReport,
    QualityReport,
    Record,
    SyncReport,
    VulnerabilityReport,
    WatchReport,
)
from catalog.units import readable


def print_json(value: Record | Iterable[Record]) -> None:
    """Print exactly one JSON document."""
    plain = value.model_dump(mode="json") if isinstance(value, Record) else [r.model_dump(mode="json") for r in value]
    json.dump(plain, sys.stdout, ensure_ascii=False, indent=2)
    print()


def print_record(record: Record) -> None:
    """Print the set fields, one per line, then the items of a plan or report, one per line."""
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
    """Return a value for an item's line; a number with the name of its field."""
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
    """Return a report's failures as the end of a sentence, "" if there are none."""
    if isinstance(result, BootCheckReport):
        mode = f"in {result.bios_mode} mode on {result.cpu_architecture}"
        return "" if result.booted else f"failed: image {result.image_id} did not boot {mode}: {result.evidence}"
    if isinstance(result, QualityReport):
        return (
            ""
            if result.success
            else f"failed for {len(result.failed)} of {len(result.checks)}: {'; '.join(result.failed)}"
        )
    for kind, parts in REPORTS.items():
        if isinstance(result, kind):
            names = parts(result)
            found = [f"{subject}: {reason}" for subject, reason, has_failed in names if has_failed]
            return f"failed for {len(found)} of {len(names)}: {'; '.join(found)}" if found else ""
    return ""


Part = tuple[str, str | None, bool]
"""Functions of a report's item: its subject, why it failed, and whether it failed."""
REPORTS: dict[type[Record], Callable[[Any], list[Part]]] = {
    CleanupReport: lambda r: [(i.subject, i.reason, i.outcome == "failed") for i in r.items],
    SyncReport: lambda r: [(f"image:{i.image_id}", i.error, i.outcome == "failed") for i in r.images],
    AddReport: lambda r: [(f"image:{i.id} {i.name!r}", i.error, i.outcome == "failed") for i in r.images],
    CatalogueReport: lambda r: [(f"{i.section}:{i.name}", i.reason, i.outcome == "failed") for i in r.items],
    LifeCycleReport: lambda r: [(f"image:{i.image_id}", i.reason, i.outcome == "failed") for i in r.images],
    VulnerabilityReport: lambda r: [
        (v.id, f"{v.package} {v.installed} is {v.severity}, fixed in {v.fixed}", v.fails) for v in r.vulnerabilities
    ],
    WatchReport: lambda r: [(f"watch:{w.watch}", w.refused, w.refused is not None) for w in r.watches],
}
"""Every report of several parts: adding one adds a row."""


def print_table(records: Iterable[Record], columns: Sequence[str]) -> None:
    """Print one line per record, columns aligned."""
    rows = [[_cell(c, r.model_dump(mode="json").get(c)) for c in columns] for r in records]
    widths = [max([len(c), *(len(row[i]) for row in rows)]) for i, c in enumerate(columns)]
    for row in [list(columns), *rows]:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _cell(name: str, value: object) -> str:
    """Return a cell of a table; of booleans only true shows."""
    return ("", "yes")[value] if isinstance(value, bool) else _text(name, value)


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
    return ", ".join(f"{name} {' '.join(map(_named, v)) if isinstance(v, list) else v}" for name, v in known.items())


def _named(item: str | dict[str, Any]) -> str:
    """Return one item of a fact's list: for a boot loader, its path."""
    return str(item["path"]) if isinstance(item, dict) else item


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
