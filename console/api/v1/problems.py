"""Errors as problem details of RFC 9457: the error's class, its sentence and its values."""

from collections.abc import Mapping
from http import HTTPStatus
from inspect import cleandoc

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

from catalog import errors
from catalog.errors.describing import described
from console.starting import ServerUnavailable
from console.thread_pools import TookTooLong
from console.transfers.uploads import NoPiece, NotKept, OtherProtocol, WrongOffset
from flows.requests.sentences import WHOLE, discreet_sentence_of_details

MEDIA = "application/problem+json"
RESERVED = ("type", "title", "status", "detail", "instance")
AGAIN_S = 5
"""Retry-After for something that does not answer now."""
PARTS = ("body", "query", "path", "header")
STATUSES: Mapping[type[errors.ImagewrightError], HTTPStatus] = {
    errors.NotSignedIn: HTTPStatus.UNAUTHORIZED,
    errors.SignInFailed: HTTPStatus.UNAUTHORIZED,
    errors.SignInRefused: HTTPStatus.UNAUTHORIZED,
    errors.NoSuchSignIn: HTTPStatus.NOT_FOUND,
    errors.ProviderUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.NotAllowed: HTTPStatus.FORBIDDEN,
    errors.OtherAccount: HTTPStatus.FORBIDDEN,
    errors.AccessDenied: HTTPStatus.FORBIDDEN,
    errors.SetupClosed: HTTPStatus.FORBIDDEN,
    errors.NotFound: HTTPStatus.NOT_FOUND,
    errors.UploadNotFound: HTTPStatus.NOT_FOUND,
    errors.IllegalTransition: HTTPStatus.CONFLICT,
    errors.StaleImage: HTTPStatus.CONFLICT,
    errors.ImageBusy: HTTPStatus.CONFLICT,
    errors.IdentityExists: HTTPStatus.CONFLICT,
    errors.LastAdministrator: HTTPStatus.CONFLICT,
    errors.KeyReused: HTTPStatus.CONFLICT,
    errors.DigestMismatch: HTTPStatus.CONFLICT,
    errors.ObjectMissing: HTTPStatus.CONFLICT,
    errors.SignInLimited: HTTPStatus.TOO_MANY_REQUESTS,
    errors.TooManyRequests: HTTPStatus.TOO_MANY_REQUESTS,
    errors.UploadBusy: HTTPStatus.LOCKED,
    OtherProtocol: HTTPStatus.PRECONDITION_FAILED,
    NoPiece: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    WrongOffset: HTTPStatus.CONFLICT,
    NotKept: HTTPStatus.INSUFFICIENT_STORAGE,
    errors.StorageUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.CatalogUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.CatalogOutdated: HTTPStatus.SERVICE_UNAVAILABLE,
    ServerUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    TookTooLong: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.ImagewrightError: HTTPStatus.UNPROCESSABLE_ENTITY,
}
"""Status by error class; a class not listed has that of its nearest base."""


class Problem(BaseModel):
    """An error. type: its class; further members are the error's values."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str


DOCUMENTED: dict[int | str, dict[str, object]] = {
    status: {"description": status.phrase}
    for status in (
        HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.SERVICE_UNAVAILABLE,
    )
}  # fmt: skip
"""Answers that every call may give."""
OF_UPLOADS: dict[int | str, dict[str, object]] = {
    status: {"description": status.phrase}
    for status in (
        HTTPStatus.PRECONDITION_FAILED, HTTPStatus.UNSUPPORTED_MEDIA_TYPE, HTTPStatus.LOCKED,
        HTTPStatus.INSUFFICIENT_STORAGE,
    )
}  # fmt: skip
"""Further answers of uploads."""


def status_of(error: errors.ImagewrightError) -> HTTPStatus:
    """Return the HTTP status of an error."""
    return next(STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES)


async def told(_request: Request, error: Exception) -> JSONResponse:
    """Answer with the problem of an error."""
    assert isinstance(error, errors.ImagewrightError)
    return problem(error)


def problem(error: errors.ImagewrightError) -> JSONResponse:
    """Return an error as an answer. A value with the name of a standard member gets the prefix `error_`."""
    status, said = status_of(error), described(error)
    kind, detail = said.pop("type"), said.pop("detail")
    values = {f"error_{name}" if name in RESERVED else name: value for name, value in said.items()}
    title = cleandoc(type(error).__doc__ or "").partition("\n")[0]
    body = {"type": kind, "title": title, "status": status, "detail": detail, **values}
    return JSONResponse(body, status, _headers(error, status), MEDIA)


def _headers(error: errors.ImagewrightError, status: HTTPStatus) -> dict[str, str]:
    if isinstance(error, OtherProtocol):
        return {"Tus-Version": error.spoken}
    if isinstance(error, errors.SignInLimited | errors.TooManyRequests):
        return {"Retry-After": str(error.retry_after_s)}
    if status == HTTPStatus.UNAUTHORIZED:
        return {"WWW-Authenticate": 'Bearer realm="Imagewright"'}
    return {"Retry-After": str(AGAIN_S)} if status == HTTPStatus.SERVICE_UNAVAILABLE else {}


async def misread(_request: Request, error: Exception) -> JSONResponse:
    """Answer with what is wrong with a request, in the same sentence as forms and commands."""
    assert isinstance(error, RequestValidationError | ValidationError)
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"] if part not in PARTS) or WHOLE
    body = {
        "type": "InvalidRequest",
        "title": "A request breaks a rule of its form.",
        "status": HTTPStatus.UNPROCESSABLE_ENTITY,
        "detail": discreet_sentence_of_details(first, place),
        "parameter": place,
    }
    return JSONResponse(body, HTTPStatus.UNPROCESSABLE_ENTITY, media_type=MEDIA)


async def plain(_request: Request, error: Exception) -> JSONResponse:
    """Answer a refusal of the framework: unknown path or method, a body that is not JSON."""
    assert isinstance(error, HTTPException)
    return plainly(HTTPStatus(error.status_code), str(error.detail), error.headers)


async def failed(_request: Request, _error: Exception) -> JSONResponse:
    """Answer an internal error: its details are in the log only."""
    return plainly(HTTPStatus.INTERNAL_SERVER_ERROR, "this should not have happened; the service's log has the rest")


def plainly(status: HTTPStatus, detail: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """Return an error without a class of ours: of the type `about:blank` of RFC 9457."""
    body = {"type": "about:blank", "title": status.phrase, "status": status, "detail": detail}
    return JSONResponse(body, status, dict(headers or {}), MEDIA)
