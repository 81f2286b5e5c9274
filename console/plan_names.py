"""Name the subjects of a plan for people, with enough of the id to distinguish two of the same name."""

from collections.abc import Callable, Mapping

from catalog.errors import NotFound
from catalog.records import Image, Plan
from catalog.repository.reading.reading import Reading

SHORT = 8


def named_plan(catalog: Reading, plan: Plan) -> Plan:
    """Return the plan with named subjects."""
    actions = (a.model_copy(update={"subject": subject_name(catalog, a.subject)}) for a in plan.actions)
    return plan.model_copy(update={"actions": tuple(actions)})


def subject_name(catalog: Reading, subject: str) -> str:
    """Return `replica:43b16fec-…@far` as `replica debian-12 (43b16fec…) on far`; unknown subjects unchanged."""
    kind, _, rest = subject.partition(":")
    identity, _, place = rest.partition("@")
    try:
        name, identity = FOUND[kind](catalog, identity)
    except (KeyError, NotFound):
        return subject
    return f"{kind} {name} ({identity[:SHORT]}…){f' on {place}' if place else ''}"


def _image(catalog: Reading, identity: str) -> tuple[str, str]:
    image: Image = catalog.image(identity)
    return image.name, image.id


FOUND: Mapping[str, Callable[[Reading, str], tuple[str, str]]] = {
    "image": _image,
    "replica": _image,
    "export": lambda catalog, identity: _image(catalog, catalog.exported(identity).image_id),
    "leftover": lambda catalog, identity: _image(catalog, catalog.leftover(identity).image_id),
    "volume": lambda catalog, identity: (catalog.volume(identity).name, identity),
}
"""Kind of subject → a function that returns its name and id."""
