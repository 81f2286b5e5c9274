"""Persons identified by the session in their browser's cookie, for the guard."""

from starlette.requests import HTTPConnection

from catalog.errors import NotSignedIn
from catalog.log import events
from catalog.records import SignedIn
from catalog.repository.identities.sign_in import NOBODY, signed_in
from catalog.settings import Settings
from console.entrance.proxies import Proxies
from console.entrance.visitors import opened
from console.login.cookies import session_in
from console.thread_pools import catalogs


class SessionPersons:
    """Persons with sessions in the catalog."""

    def __init__(self, settings: Settings, proxies: Proxies) -> None:
        self._settings, self._proxies = settings, proxies
        self._seen_one = bool(settings.oidc_issuer)  # its persons are created at their first sign-in

    async def signed_in(self, request: HTTPConnection) -> SignedIn | None:
        """Return the person of a request's session, None if there is no valid session."""
        token = session_in(request, https=self._proxies.is_https(request.scope))
        return await catalogs(self._known, token) if token else None

    async def are_there(self) -> bool:
        """Tell whether there is any person. Persons are never removed, so a true answer is final."""
        if not self._seen_one:
            self._seen_one = await catalogs(self._is_there_one)
        return self._seen_one

    async def note_limit(self, address: str) -> None:
        """Log that an address has tried too many passwords of the operators."""
        await catalogs(self._note, address)

    def _known(self, token: str) -> SignedIn | None:
        with opened(self._settings) as catalog:
            try:
                who = signed_in(catalog, token)
            except NotSignedIn:
                return None
        return who if who.proof.startswith("session:") else None  # a robot's token is not a session

    def _is_there_one(self) -> bool:
        with opened(self._settings) as catalog:
            return catalog.has_person()

    def _note(self, address: str) -> None:
        with opened(self._settings) as catalog, catalog.changing(NOBODY) as change:
            change.note_sign_in(events.IDENTITY_SIGN_IN_LIMITED, "", address)
