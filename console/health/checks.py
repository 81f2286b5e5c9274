"""Liveness and readiness checks, asked every few seconds and answered in sentences."""

from collections.abc import Iterator

from catalog.records import Record
from console.health.catalog_metrics import CatalogMetrics
from console.health.remembered import Known
from console.health.run_metrics import RunMetrics
from console.health.storage_metrics import StorageMetrics


class Check(Record):
    """The result of a check. needed: nothing works without this part."""

    check: str
    ok: bool
    sentence: str
    needed: bool = False


class Readiness(Record):
    """Whether requests can be served; an unavailable storage is reported, but does not make the service unready."""

    ready: bool
    checks: tuple[Check, ...]


def readiness(catalog: CatalogMetrics, runs: RunMetrics, storages: StorageMetrics) -> Readiness:
    """Return the present checks. It takes no longer than the waits for first measurements."""
    checks = (_needed("catalog", catalog.known()), _needed("prefect", runs.known()), *_storages(storages))
    return Readiness(ready=all(check.ok for check in checks if check.needed), checks=checks)


def _needed(name: str, known: Known[object]) -> Check:
    ok = known.value is not None and not known.trouble
    sentence = f"the {name} answered {known.age_s:.0f} s ago" if ok else known.trouble
    return Check(check=name, ok=ok, sentence=sentence, needed=True)


def _storages(storages: StorageMetrics) -> Iterator[Check]:
    for kind, name, known in storages.rooms():
        ok = known.value is not None and not known.trouble
        free = known.value.capacity.available_bytes if known.value else 0
        sentence = (
            f"it answered {known.age_s:.0f} s ago, {free} bytes are free after the reserve" if ok else known.trouble
        )
        yield Check(check=f"{kind} storage {name}", ok=ok, sentence=sentence)
