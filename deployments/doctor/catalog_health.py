"""Check the catalog: connection, schema, clocks, and the age of the last proofs and the last backup."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from sqlalchemy.exc import DBAPIError

from catalog import open_catalog
from catalog.errors import CatalogUnavailable
from catalog.records import Figures
from catalog.settings import Settings
from catalog.store.schema import revision
from catalog.store.sql import connect, parse, unavailable
from catalog.store.tables import SCHEMA
from catalog.units import utc_now
from deployments.doctor.examine import Finding

CLOCKS_S = 5.0
PROVEN_WITHIN = timedelta(days=8)
"""Some replica is verified every night; this allows for two failed nights and a weekend."""


def has_catalog(settings: Settings) -> bool:
    """Tell whether a catalog exists, without creating one."""
    url = parse(settings.catalog_address)
    return url is None or url.get_backend_name() != "sqlite" or Path(str(url.database)).exists()


def schema_current(settings: Settings) -> Iterator[Finding]:
    """Report a catalog that does not answer or has another schema; upgrade nothing."""
    if not has_catalog(settings):
        yield Finding(check="catalog", ok=True, sentence="there is none yet; the first command makes it")
        return
    url = parse(settings.catalog_address)
    if url is None:
        raise CatalogUnavailable(settings.catalog_address.partition(":")[0], "its URL names no database that we know")
    store = connect(url)
    try:
        found = revision(store.engine)
    except DBAPIError as error:
        raise unavailable(store.address, error) from error
    finally:
        store.close()
    yield _schema(store.address, found)


def _schema(address: str, found: str | None) -> Finding:
    if found == SCHEMA:
        return Finding(check="catalog", ok=True, sentence=f"{address} answers, its schema is {SCHEMA}")
    newer = found is not None and found > SCHEMA
    remedy = "install the newer program" if newer else "run `python -m catalog.migrate`"
    return Finding(
        check="catalog", ok=False, sentence=f"{address} has schema {found or 'none'}, not {SCHEMA}; {remedy}"
    )


def clock_agrees(settings: Settings) -> Iterator[Finding]:
    """Report a difference between this host's clock and the database's."""
    if not has_catalog(settings):
        return
    with open_catalog(settings.catalog_address) as catalog:
        before = utc_now()
        theirs = catalog.now()
        apart = max((before - theirs).total_seconds(), (theirs - utc_now()).total_seconds(), 0.0)
    sentence = f"this host's clock and the database's are {apart:.1f} s apart"
    ok = apart <= CLOCKS_S
    yield Finding(check="clock", ok=ok, sentence=sentence if ok else f"{sentence}; set it by NTP")


def replicas_proven(settings: Settings) -> Iterator[Finding]:
    """Report storages whose replicas are no longer verified."""
    if not has_catalog(settings):
        return
    with open_catalog(settings.catalog_address) as catalog:
        figures = catalog.figures()
    names = sorted({found.image_storage for found in figures.storages})
    late = [said for name in names if (said := _late(figures, name))]
    remedy = "; see the last runs of verify-replicas, or run `imagewright verify-replicas`"
    sentence = "; ".join(late) + remedy if late else "replicas are proven in their turn, or too young for it"
    yield Finding(check="verification", ok=not late, sentence=sentence)


def _late(figures: Figures, name: str) -> str:
    parts = [part for part in figures.storages if part.image_storage == name]
    proofs = [part.last_verified_at for part in parts if part.last_verified_at]
    last = max(proofs, default=None) or min(
        (part.first_landed_at for part in parts if part.first_landed_at), default=None
    )
    if last is None or figures.at - last <= PROVEN_WITHIN:
        return ""
    return f"no replica on {name!r} was proven for {(figures.at - last).days} days"


def backup_fresh(settings: Settings) -> Iterator[Finding]:
    """Report a catalog whose last backup is older than the setting allows."""
    if not has_catalog(settings) or not settings.backup_days:
        return
    with open_catalog(settings.catalog_address) as catalog:
        now, last = catalog.now(), catalog.last_backup()
        first = next(iter(catalog.events()), None)
    since = last or (first.at if first else now)
    days = (now - since).total_seconds() / 86_400
    what = (
        f"the newest backup is {days:.1f} days old"
        if last
        else f"there is no backup, and the log began {days:.1f} days ago"
    )
    ok = days <= settings.backup_days
    remedy = "" if ok and last else "; `imagewright backup FOLDER` makes one"
    yield Finding(check="backup", ok=ok, sentence=what + remedy)
