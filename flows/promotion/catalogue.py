"""Apply a catalogue: each entry that differs is set by its own operation."""

from typing import TYPE_CHECKING

from catalog.errors import ImagewrightError
from catalog.records import Action, CatalogueItem, CatalogueReport, Plan, Record
from catalog.rules.accounts.sharing import require_admin
from flows.operation import flow_of
from flows.registry import OPERATIONS
from flows.requests import ApplyCatalogue
from flows.requests.catalogue import OPERATIONS_OF, Catalogue, differing
from flows.requests.form import ChangingRequest
from tasks.promotion.catalogue import what_is_set

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@flow_of(ApplyCatalogue)
def apply_catalogue(request: ApplyCatalogue) -> CatalogueReport | Plan:
    """Set each entry of a document, in order; one that fails stops no other. Applied again, it changes nothing."""
    require_admin(request.account, "apply a catalogue")
    known = what_is_set()
    if request.plan_only:
        return _plan(request.catalogue, known)
    items = [_set(section, entry, known, request.account) for section, entry in _entries(request.catalogue)]
    return CatalogueReport(items=tuple(items))


def _entries(catalogue: Catalogue) -> "Iterator[tuple[str, ChangingRequest]]":
    for section in OPERATIONS_OF:
        for entry in getattr(catalogue, section):
            yield section, entry


def _plan(catalogue: Catalogue, known: "Mapping[str, Mapping[str, Record]]") -> Plan:
    actions: list[Action] = []
    for section, entry in _entries(catalogue):
        name = str(getattr(entry, "name", ""))
        record = known[section].get(name)
        if changes := differing(entry, record):
            told = ", ".join(_told(field, *values) for field, values in changes.items())
            actions.append(Action(verb="change" if record else "set", subject=f"{section}:{name}", reason=told))
    return Plan(operation="apply a catalogue", actions=tuple(actions), summary=f"{len(actions)} entries differ")


def _set(
    section: str, entry: ChangingRequest, known: "Mapping[str, Mapping[str, Record]]", account: str
) -> CatalogueItem:
    name = str(getattr(entry, "name", ""))
    record = known[section].get(name)
    changes = differing(entry, record)
    told = tuple(_told(field, *values) for field, values in changes.items())
    item = CatalogueItem(section=section, name=name, outcome="changed" if record else "set", changes=told)
    if not changes:
        return item.model_copy(update={"outcome": "unchanged"})
    try:
        OPERATIONS[OPERATIONS_OF[section]].load()(entry.model_copy(update={"account": account}))
    except ImagewrightError as error:
        return item.model_copy(update={"outcome": "failed", "reason": str(error)})
    return item


def _told(field: str, before: object, wanted: object) -> str:
    """Return what would change; of long values, such as keys, only that they change."""
    said = f"{field} {before!r} → {wanted!r}"
    return said if len(said) <= 200 else f"{field} changes"
