"""What is watched."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from catalog.errors import InvalidRequest
from catalog.log import events
from catalog.records import Plan, Watch
from catalog.rules.accounts.sharing import require_admin
from catalog.rules.promotion.watches import check_watch, is_sigstore_key
from catalog.settings import Settings
from storage.programs.gpgv import KEY, MOST_BYTES, dearmoured
from storage.sources.registry import open_plain
from storage.sources.watched.sigstore import public_key
from tasks.runtime.resources import changing, open_resources
from tasks.runtime.retries import retrying
from tasks.runtime.setting import known_one, one_step, whose_and_when
from tasks.runtime.task import task

if TYPE_CHECKING:
    from catalog.repository.reading.reading import Reading

OPERATION = "set watches"
ARMOUR = "-----BEGIN"


@task(task_run_name="set watch {asked[name]}", **retrying())
def set_watch(asked: Mapping[str, object], account: str) -> Watch:
    """Save a watch as asked for; it begins anew. Raises InvalidRequest, FamilyNotFound, and as files do for keys in one."""
    require_admin(account, OPERATION)
    with open_resources() as (settings, catalog), changing(catalog, account) as change:
        _, after = _asked(change, settings, asked, account)
        change.save_watch(after, events.WATCH_SET)
    return after


@task(task_run_name="plan watch {asked[name]}", **retrying())
def plan_watch(asked: Mapping[str, object], account: str) -> Plan:
    """Say what would be watched. Changes nothing. Raises as `set_watch`."""
    require_admin(account, OPERATION)
    with open_resources() as (settings, catalog):
        known, after = _asked(catalog, settings, asked, account)
    verb = "change" if known else "watch"
    proven = f"signed by {len(after.public_keys)} keys" if after.public_keys else "not signed"
    reason = f"{after.url} brings builds of {after.family} for {after.cpu_architecture}, {proven}"
    return one_step(OPERATION, verb, f"watch:{after.name}", reason)


@task(task_run_name="delete watch {name}", **retrying())
def delete_watch(name: str, account: str) -> Watch:
    """Watch something no longer; return the watch as it was. Raises WatchNotFound."""
    require_admin(account, OPERATION)
    with open_resources() as (_, catalog), changing(catalog, account) as change:
        known = change.watch(name)
        change.remove_watch(name, events.WATCH_DELETED)
    return known


@task(task_run_name="plan to delete watch {name}", **retrying())
def plan_deletion(name: str, account: str) -> Plan:
    """Say what would no longer be watched. Changes nothing. Raises WatchNotFound."""
    require_admin(account, OPERATION)
    with open_resources() as (_, catalog):
        known = catalog.watch(name)
    return one_step(OPERATION, "delete", f"watch:{name}", f"{known.url} is watched no longer; what it brought stays")


def _asked(
    catalog: "Reading", settings: Settings, asked: Mapping[str, object], account: str
) -> tuple[Watch | None, Watch]:
    """Return the watch that is there and the one that is asked for, which is checked."""
    known = known_one(catalog.watch, asked["name"])
    keys = tuple(_key(key, settings) for key in cast("tuple[str, ...]", asked.get("public_keys", ())))
    made = whose_and_when(known, account, catalog.now())
    after = Watch.model_validate({**asked, **made, "public_keys": keys})
    check_watch(after)
    family = catalog.family(after.family)
    if family.signature == "required" and not after.public_keys:
        raise InvalidRequest("public_keys", (), f"family {family.name!r} takes only what is signed: give the keys")
    return known, after


def _key(given: str, settings: Settings) -> str:
    """Return the armoured text of a key that is given as text, or as a file of this host below the roots of files."""
    text = given.strip()
    if not text.startswith(ARMOUR):
        url = text if text.startswith("file:") else f"file://{text}"
        text = open_plain(url, settings).peek(MOST_BYTES).decode("utf-8", "replace").strip()
    if is_sigstore_key(text):
        public_key(text)
    else:
        dearmoured(text, KEY)
    return text
