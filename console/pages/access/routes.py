"""The endpoints of the page *Access*. Changes go through the same functions as the API's (`console/people.py`)."""

from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from catalog.errors import IdentityNotFound, ImagewrightError, NotFound, TokenNotFound
from catalog.records import Identity, NewToken, Record, SignedIn
from catalog.repository.catalog import Catalog
from catalog.rules.accounts.roles import require, require_tokens_of
from catalog.rules.accounts.sign_in import NAME
from catalog.settings import Settings
from console import people
from console.entrance.bodies import body_of
from console.entrance.visitors import opened, visitor_of
from console.look.templates import TEMPLATES
from console.pages.access.forms import (
    FORMS,
    USUAL,
    AccessForm,
    ChangeForm,
    Form,
    OwnPasswordForm,
    PasswordForm,
    PersonForm,
    RobotForm,
    TokenForm,
    begins_with,
    choices_of,
)
from console.pages.access.lines import access_of, accounts_of
from console.pages.forms import fields_of
from console.pages.tabs import MOST_TYPED, TABS
from console.runs import refused
from console.thread_pools import catalogs, passwords
from flows.requests.identities import ChangeIdentity
from flows.requests.sentences import discreet_sentence

MAX_BODY = 64 << 10
P = ParamSpec("P")
T = TypeVar("T")
M = TypeVar("M", bound=AccessForm)


class AccessPages:
    """The endpoints."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/access", self.page),
            Route("/access/forms/{form}", self.form),
            Route("/access/robots", self.add_robot, methods=["POST"]),
            Route("/access/persons", self.add_person, methods=["POST"]),
            Route("/access/password", self.change_password, methods=["POST"]),
            Route("/access/identities/{name}", self.change, methods=["PATCH"]),
            Route("/access/identities/{name}/password", self.reset_password, methods=["POST"]),
            Route("/access/identities/{name}/tokens", self.make_token, methods=["POST"]),
            Route("/access/tokens/{id}", self.revoke, methods=["DELETE"]),
        ]

    async def page(self, request: Request) -> Response:
        """Return the page: `q` words that names contain, `page` of persons and robots."""
        who, words = visitor_of(request), request.query_params.get("q", "")[:MOST_TYPED].strip()
        text = request.query_params.get("page", "0")
        number = int(text) if text.isascii() and text.isdigit() and len(text) < 7 else 0
        found = await catalogs(self._within, who, access_of, self._settings, words, number)
        shown = {"tabs": TABS, "tab": "access", "found": found, "words": words, "page": number}
        return TEMPLATES.TemplateResponse(request, "access.html", shown)

    async def form(self, request: Request) -> Response:
        """Return a form; `name` in the query: its subject."""
        asked, name = request.path_params["form"], request.query_params.get("name", "")
        if asked not in FORMS:
            return JSONResponse({"error": f"no form {asked!r}; there are {', '.join(FORMS)}"}, 404)
        form, who = FORMS[asked], visitor_of(request)
        try:
            owner, accounts = await catalogs(self._within, who, _form_of, form, name)
        except ImagewrightError as error:
            return _refused(error)
        given = {**USUAL, **begins_with(form, owner)}
        fields = fields_of(form.model, given, choices_of(form, owner), begins_with(form, owner))
        shown = {
            "form": form,
            "about": (form.model.__doc__ or "").partition("\n")[0],
            "fields": [field for field in fields if field.name not in form.leaves_out],
            "send": form.send.format(name=name),
            "owner": owner,
            "accounts": accounts,
        }
        return TEMPLATES.TemplateResponse(request, "access_form.html", shown)

    async def add_robot(self, request: Request) -> Response:
        """Add a robot with its first token: the answer shows the token."""
        return await self._done(
            request, RobotForm, lambda catalog, who, asked: people.add_robot(catalog, who, asked.asked(catalog.now()))
        )

    async def add_person(self, request: Request) -> Response:
        """Add a person."""
        return await self._done(
            request, PersonForm, lambda catalog, who, asked: people.add_identity(catalog, who, asked.asked())
        )

    async def change(self, request: Request) -> Response:
        """Change role, account, projects, or whether an identity is disabled."""
        return await self._set(request, ChangeForm)

    async def reset_password(self, request: Request) -> Response:
        """Set a person's password."""
        return await self._set(request, PasswordForm)

    async def _set(self, request: Request, model: type[ChangeForm | PasswordForm]) -> Response:
        name = request.path_params["name"]
        return await self._done(request, model, lambda catalog, who, asked: _changed(catalog, who, name, asked.asked()))

    async def change_password(self, request: Request) -> Response:
        """Set the visitor's own password."""
        return await self._done(
            request,
            OwnPasswordForm,
            lambda catalog, who, asked: _changed(catalog, who, who.identity.name, asked.asked()),
        )

    async def make_token(self, request: Request) -> Response:
        """Create a token: the answer shows it."""
        name = request.path_params["name"]
        return await self._done(request, TokenForm, lambda catalog, who, asked: _token(catalog, who, name, asked))

    async def revoke(self, request: Request) -> Response:
        """Revoke a token."""
        try:
            return _told(await catalogs(self._within, visitor_of(request), _revoked, request.path_params["id"]))
        except ImagewrightError as error:
            return _refused(error)

    async def _done(self, request: Request, model: type[M], do: Callable[[Catalog, SignedIn, M], Record]) -> Response:
        """Carry out a form's request; password hashing has threads of its own."""
        pool = passwords if issubclass(model, PersonForm | PasswordForm) else catalogs
        try:
            asked = model.model_validate_json(await body_of(request, MAX_BODY))
            return _told(await pool(self._within, visitor_of(request), do, asked))
        except ValidationError as error:
            return JSONResponse({"error": discreet_sentence(error)}, 422)
        except ImagewrightError as error:
            return _refused(error)

    def _within(
        self, who: SignedIn, do: Callable[Concatenate[Catalog, SignedIn, P], T], *args: P.args, **more: P.kwargs
    ) -> T:
        with opened(self._settings, who) as catalog:
            return do(catalog, who, *args, **more)


def _known(name: str) -> str:
    """Return a valid name: an invalid one belongs to nobody, and a database may not accept it."""
    if not NAME.fullmatch(name):
        raise IdentityNotFound(name)
    return name


def _form_of(catalog: Catalog, who: SignedIn, form: Form, name: str) -> tuple[Identity | None, tuple[str, ...]]:
    """Return a form's subject, and the accounts that it offers. Raises NotAllowed, IdentityNotFound."""
    if form.model is TokenForm:
        require_tokens_of(who, name)
    elif form.model is not OwnPasswordForm:
        require(who, "administer", form.title.lower())
    name = who.identity.name if form.model is OwnPasswordForm else name
    owner = people.identity(catalog, who, _known(name)) if form.kinds else None
    if owner is not None and owner.kind not in form.kinds:
        raise IdentityNotFound(name)
    offers = "account" in form.model.model_fields
    return owner, accounts_of(people.identities(catalog, who)) if offers else ()


def _changed(catalog: Catalog, who: SignedIn, name: str, asked: ChangeIdentity) -> Identity:
    return people.change_identity(catalog, who, _known(name), asked)


def _token(catalog: Catalog, who: SignedIn, name: str, asked: TokenForm) -> NewToken:
    require_tokens_of(who, name)
    return people.create_token(catalog, who, asked.asked(people.identity(catalog, who, _known(name)), catalog.now()))


def _revoked(catalog: Catalog, who: SignedIn, token_id: str) -> Record:
    if not NAME.fullmatch(token_id):
        raise TokenNotFound(token_id)
    return people.revoke_token(catalog, who, token_id)


def _told(record: Record) -> JSONResponse:
    """Answer with the new record; caches must not store a token's secret."""
    return JSONResponse(record.model_dump(mode="json"), headers={"Cache-Control": "no-store"})


def _refused(error: ImagewrightError) -> JSONResponse:
    return JSONResponse({"error": str(error)}, 404) if isinstance(error, NotFound) else refused(error)
