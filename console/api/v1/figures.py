"""Reading how the service is: hosts, work that waits, what accounts use and have, who is told of events, how the catalog changed.

All of it is an administrator's, but for what one's own account uses and where an image that one sees comes from.
"""

from collections.abc import Iterator
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, Field

from catalog.errors import InvalidRequest, OtherAccount
from catalog.log.difference import Difference
from catalog.log.lineage import statement
from catalog.records import Delivery, Host, SignedIn, Usage
from catalog.rules.accounts.roles import require, sees_as
from catalog.rules.accounts.sharing import ADMIN
from catalog.settings import Settings
from catalog.store import record_kinds
from catalog.store.record_kinds import Place
from console.api.v1.listings import PLAIN, Asked, Id, listing, one
from console.api.v1.pages import Page
from console.api.v1.signing import Here, Who
from console.thread_pools import catalogs
from console.visibility import Visibility

router = APIRouter(tags=["Reading"])
Text = Annotated[str | None, Query(max_length=256, pattern=PLAIN)]


class AskedPending(Asked):
    """Filters of the list of deferred work."""

    storage: str | None = Field(
        None, max_length=256, pattern=PLAIN, description="Only work that waits for this storage."
    )


class AskedDeliveries(Asked):
    """Filters of the list of deliveries."""

    webhook: str | None = Field(None, max_length=256, pattern=PLAIN, description="Only to this webhook.")
    status: Literal["Pending", "Delivered", "Failed"] | None = None


def _hosts(visibility: Visibility, _asked: Asked, after: Place | None) -> Iterator[Host]:
    return (host for host in visibility.catalog.hosts() if after is None or host.name > str(after[0]))


def _deliveries(visibility: Visibility, asked: AskedDeliveries, after: Place | None) -> Iterator[Delivery]:
    if asked.webhook is not None:
        visibility.catalog.webhook(asked.webhook)
    return visibility.catalog.listed(record_kinds.DELIVERY, after, **asked.fields())


listing(
    router,
    "hosts",
    "List the hosts by name: Silent ones gave no sign of life lately, Draining ones take no new runs.",
    record_kinds.HOST,
    Asked,
    administers="list hosts",
    found=_hosts,
)
listing(
    router,
    "pending",
    "List deferred work, which is retried, with the reason.",
    record_kinds.DEFERRED,
    AskedPending,
    administers="list what waits",
)
listing(
    router,
    "accounts",
    "List accounts with settings of their own; null means the system's setting.",
    record_kinds.ACCOUNT,
    Asked,
    administers="list accounts",
)
listing(router, "webhooks", "List webhooks by name.", record_kinds.WEBHOOK, Asked, administers="list webhooks")
listing(
    router,
    "deliveries",
    "List webhook deliveries, with the reason where one failed; by webhook, oldest event first.",
    record_kinds.DELIVERY,
    AskedDeliveries,
    administers="list deliveries",
    found=_deliveries,
)


@router.get("/usage")
async def usage(who: Who, settings: Here, account: Text = None) -> Page[Usage]:
    """List usage, in total and in the recycle bin: of the caller's account; for an administrator, of all accounts or of one."""
    return Page(items=await catalogs(one, settings, who, lambda visibility: _usage(visibility, who, account)))


def _usage(visibility: Visibility, who: SignedIn, account: str | None) -> tuple[Usage, ...]:
    own = sees_as(who)
    if own == ADMIN:
        return (visibility.catalog.usage(account),) if account else tuple(visibility.catalog.usages())
    if account not in (None, own):
        raise OtherAccount(who.identity.name, account, own)
    return (visibility.catalog.usage(own),)


@router.get("/images/{image_id}/lineage")
async def lineage(image_id: Id, who: Who, settings: Here) -> dict[str, object]:
    """Show an image's provenance: an in-toto statement with SLSA provenance, made from the event log."""

    def found(visibility: Visibility) -> dict[str, object]:
        image = visibility.image(image_id)
        return dict(statement(image.id, visibility.catalog.events(image.id)))

    return await catalogs(one, settings, who, found)


@router.get("/differences")
async def differences(who: Who, settings: Here, since: AwareDatetime, until: AwareDatetime | None = None) -> Difference:
    """Show how the catalog differs between two moments; the second defaults to now."""
    require(who, "administer", "compare moments of the catalog")
    return await catalogs(_difference, settings, who, since, until)


def _difference(settings: Settings, who: SignedIn, since: AwareDatetime, until: AwareDatetime | None) -> Difference:
    def found(visibility: Visibility) -> Difference:
        end = until or visibility.catalog.now()
        if since > end:
            raise InvalidRequest("since", since.isoformat(), f"a moment before {end.isoformat()}")
        return visibility.catalog.difference(since, end)

    return one(settings, who, found)
