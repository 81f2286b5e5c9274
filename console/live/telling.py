"""Select the news for a visitor: changes of images that they see, and runs of their account."""

from collections.abc import Iterable, Sequence

from catalog.errors import ImageNotFound, ImagewrightError
from catalog.records import Event, Image, SignedIn
from catalog.rules.accounts.roles import may
from catalog.rules.accounts.sharing import ADMIN, visible
from catalog.settings import Settings
from console.entrance.run_visibility import sees_run
from console.entrance.visitors import opened
from console.live.jobs import Job, is_own
from console.live.run_watch import Seen
from console.live.undoing import again_of, undo_of
from console.look.language import Said, Words
from console.look.telling import told
from console.pages.actions import permitted
from console.visibility import Visibility
from flows.registry import OPERATIONS

MOST = 50
"""Most images named in one message; of more it only says that there are many."""
OF_EVERYBODY = ("image_storage", "primary_storage")
"""Kinds of things without an image that every visitor sees in the lists."""
SHARING = frozenset({"sharing_mode", "shared_accounts", "shared_projects", "owner"})


def changed_images(settings: Settings, who: SignedIn, events: Sequence[Event]) -> tuple[str, ...] | None:
    """Return the changed images that the visitor sees; None if nothing visible changed.

    An unshared image is not named to a visitor who saw it before; they are only told that a list may be shorter.
    """
    with opened(settings, who) as catalog:
        view = Visibility(catalog, who)
        seen = {event.image_id for event in events if event.image_id and _is_seen(view, event)}
        lists = bool(seen) or any(_is_of_all(who, event) for event in events)
    return tuple(sorted(filter(None, seen)))[:MOST] if lists else None


def _is_of_all(who: SignedIn, event: Event) -> bool:
    kind = event.subject.partition(":")[0]
    unshared = bool(SHARING & set(event.before or ())) and event.after is not None
    alone = event.image_id is None and who.identity.role == ADMIN and not event.note
    return kind in OF_EVERYBODY or unshared or alone


def _is_seen(view: Visibility, event: Event) -> bool:
    """Tell whether an image is visible, or was until it was deleted: the log has its last record."""
    if view.of(event.image_id):
        return True
    if not event.subject.startswith("image:") or event.after is not None or not event.before:
        return False
    try:
        gone = Image.model_validate(event.before)
        return visible(gone, view.catalog.viewer(view.account)) and view.sees(gone)
    except (ValueError, ImagewrightError):
        return False


def jobs_for(settings: Settings, who: SignedIn, runs: Iterable[Seen], t: Words) -> list[dict[str, object]]:
    """Return the jobs that a visitor sees, in their language, with the names of their subjects.

    own: the visitor started it.
    """
    mine = [one for one in runs if sees_run(who, one.run)]
    if not mine:
        return []
    with opened(settings, who) as catalog:
        view = Visibility(catalog, who)
        return [_told(view, who, one, t) for one in mine]


def _told(view: Visibility, who: SignedIn, seen: Seen, t: Words) -> dict[str, object]:
    job = Job(**{name: getattr(seen, name) for name in Job.model_fields})
    found = [image for one in job.images[:MOST] if (image := _image(view, one)) is not None] or _not_added(
        view, job, seen.name
    )
    named = found[0].name if len(job.images) == 1 and found else seen.name
    about = t(Said("{count} images", count=len(job.images))) if len(job.images) > 1 else named
    more: dict[str, object] = {
        "title": t(job.title),
        "state": t(job.state),
        "about": about,
        "message": told(job.message, t.language),
        "images": tuple(image.id for image in found),
    }
    if job.finished and may(who, "add") and permitted(who, job.operation, found[0].owner if found else None):
        more |= {"again": again_of(job, found)} if job.failed else undo_of(job, found, t)
    said = job.model_copy(update=more).model_dump(mode="json", exclude_defaults=True)
    return {**said, "own": is_own(who, seen.run)}


def _not_added(view: Visibility, job: Job, name: str) -> list[Image]:
    """Return the image of an add that failed before any transfer: its run does not name the image."""
    if not (job.failed and OPERATIONS[job.operation].adds and name):
        return []
    failed = view.catalog.images(status="Error", name_pattern=name, account=view.account)
    return [image for image in failed if image.name == name and view.sees(image)][:1]


def _image(view: Visibility, image_id: str) -> Image | None:
    try:
        return view.image(image_id)
    except ImageNotFound:
        return None
