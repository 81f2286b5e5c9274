"""Guide a form while it is filled in: fields, choices and errors for the present input, by the flow's own rules.

The rules are in `catalog/rules/` and the request models; this module only maps fields to rules.
"""

from collections.abc import Mapping, Sequence
from uuid import uuid4

from pydantic import ValidationError

from catalog.errors import ImagewrightError, InvalidRequest, NotFound
from catalog.records import Architecture, ImageStorage, Platform, Record
from catalog.rules.images.combinations import CSM_ARCHITECTURE, ELASTIC_FORMATS, MODES
from catalog.rules.images.operating_systems import known_systems, uefi_support
from catalog.rules.storages.sources import UPLOAD
from catalog.units import utc_now
from console.look.language import Said, Words
from console.visibility import Visibility
from flows.add.draft import draft_image
from flows.registry import OPERATIONS
from flows.requests import AddSystemImage, AddVolumeImage
from flows.requests.sentences import sentence_of_details
from storage.boot.machine import BOOTED

OF_THE_FORM = {"format": "image_format", "source": "image_path", "build_version": "version"}
"""Field of an image that an error names → of the request."""
NO_TRIAL = "none"


class Guide(Record):
    """The state of a field, given the other fields.

    shown: whether it is shown; options: its choices, None for the form's own; suggested: values offered beside free
    text; note: a sentence; wrong: why its value is not allowed.
    """

    shown: bool = True
    options: tuple[str, ...] | None = None
    suggested: tuple[str, ...] | None = None
    note: str = ""
    wrong: str = ""


Guides = dict[str, Guide]


def guides(view: Visibility, flow: str, said: Mapping[str, object], t: Words, *, sent: bool) -> Guides:
    """Return guides by field name; a field without one needs none.

    t: the language of notes; sent: whether a file of the visitor's computer is chosen.
    """
    found = _boot_fields(said, t) if OPERATIONS[flow].adds == "System" else {}
    found |= {"mode": _shared(view, said, t)} if flow == "set_sharing_mode" else {}
    for field in ("source", "target", "image_storage") if OPERATIONS[flow].room in ("replicas", "images") else ():
        if note := _storage(view, said.get(field), t):
            found[field] = Guide(note=note)
    for field, wrong in _wrong(flow, said, sent=sent):
        found[field] = found.get(field, Guide()).model_copy(update={"wrong": wrong})
    return found


def _boot_fields(said: Mapping[str, object], t: Words) -> Guides:
    """Return the guide's rules of a system image's form."""
    architecture = _architecture(said)
    modes, image_format = MODES[architecture], said.get("image_format", "qcow2")
    mode = said.get("bios_mode") if said.get("bios_mode") in modes else modes[0]
    csm, os = mode == "UEFI" and architecture == CSM_ARCHITECTURE, str(said.get("os", ""))
    with_csm = uefi_support(os) == "with CSM"
    trials = (NO_TRIAL, "boots") if architecture in BOOTED else (NO_TRIAL,)
    return {
        "bios_mode": Guide(options=modes, note=t(_mode_note(architecture, modes, os))),
        "enable_csm": Guide(shown=csm, note=t(Said("{os} needs it in UEFI mode.", os=os)) if with_csm else ""),
        "elastic_baremetal": Guide(shown=image_format in ELASTIC_FORMATS),
        "boot_check": Guide(shown=len(trials) > 1, options=trials),
        "os": Guide(suggested=known_systems(_platform(said))),
    }


def _mode_note(architecture: str, modes: Sequence[str], os: str) -> str:
    if len(modes) == 1:
        return Said("{architecture} always boots in {mode} mode.", architecture=architecture, mode=modes[0])
    return Said("{os} is too old for UEFI.", os=os) if os and uefi_support(os) == "no" else ""


def _architecture(said: Mapping[str, object]) -> Architecture:
    given = said.get("cpu_architecture")
    return next((one for one in MODES if one == given), "x86_64")


def _platform(said: Mapping[str, object]) -> Platform:
    given = said.get("platform")
    return "Windows" if given == "Windows" else "Other" if given == "Other" else "Linux"


def _shared(view: Visibility, said: Mapping[str, object], t: Words) -> Guide:
    """Note who has access to an image now."""
    try:
        image = view.image(str(said.get("image_id", "")))
    except ImagewrightError:
        return Guide()
    projects = (t(Said("project {name}", name=name)) for name in image.shared_projects)
    with_whom = {"global": t(Said("everybody")), "none": ""}.get(
        image.sharing_mode, ", ".join((*image.shared_accounts, *projects))
    )
    return Guide(note=t(Said("Now shared with {whom}.", whom=with_whom or Said("nobody but its owner"))))


def _storage(view: Visibility, name: object, t: Words) -> str:
    """Note what a storage is, and over which network images are sent from or to it."""
    if not isinstance(name, str) or not name:
        return ""
    try:
        storage: ImageStorage = view.catalog.image_storage(name)
    except NotFound:
        return ""
    named = Said("network {network} for syncs", network=storage.sync_network)
    network = named if storage.sync_network else Said("no network of its own for syncs")
    return f"{storage.kind}, {t(storage.state)}, {t(storage.connection)}; {t(network)}"


def _wrong(flow: str, said: Mapping[str, object], *, sent: bool) -> Sequence[tuple[str, str]]:
    """Return the errors by field."""
    model = OPERATIONS[flow].request
    given = {**said, **({"image_path": f"{UPLOAD}://{uuid4()}"} if sent else {})}
    try:
        asked = model.model_validate(given)
        if isinstance(asked, AddSystemImage | AddVolumeImage):
            draft_image(asked, str(uuid4()), utc_now())
    except ValidationError as error:
        found = ((str(one["loc"][0]) if one["loc"] else "", one) for one in error.errors())
        return [(field, sentence_of_details(one, field)) for field, one in found if field]
    except InvalidRequest as error:
        return [(OF_THE_FORM.get(error.parameter, error.parameter), str(error))]
    return ()
