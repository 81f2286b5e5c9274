"""Is the service alive, and ready: what is asked every few seconds and answered in sentences."""

from collections.abc import Iterator

from catalog.records import Record
from console.health.catalog_metrics import CatalogMetrics
from console.health.remembered import Known
from console.health.run_metrics import RunMetrics
from console.health.storage_metrics import StorageMetrics


class Check(Record):
    """What was looked at. needed: nothing works without it."""

    check: str
    ok: bool
    sentence: str
    needed: bool = False


class Readiness(Record):
    """Whether requests can be served; a storage that is away is told, and is no reason to send nobody here."""

    ready: bool
    checks: tuple[Check, ...]


def readiness(catalog: CatalogMetrics, runs: RunMetrics, storages: StorageMetrics) -> Readiness:
    """Return what is known now. Takes no longer than the waits for what was never asked."""
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
