"""The API's documentation for people: a page made from the OpenAPI document, without scripts or external resources."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from console.api.v1.problems import MEDIA, Problem
from console.look.templates import TEMPLATES

router = APIRouter(include_in_schema=False)
ERRORS = 400
BARE = ("412", "416")
"""Statuses of range requests whose answers have no body."""
PROBLEM = {MEDIA: {"schema": {"$ref": "#/components/schemas/Problem"}}}


@router.get("/docs", response_class=HTMLResponse)
def docs(request: Request) -> Response:
    """Show what can be called."""
    document = request.app.openapi()
    shown = {
        "document": document,
        "calls": calls(document),
        "schemas": document["components"]["schemas"],
        "named": named,
    }
    return TEMPLATES.TemplateResponse(request, "api.html", shown)


def with_problems(document: dict[str, Any]) -> dict[str, Any]:
    """Return the OpenAPI document with each error described once and referred to by every call."""
    shared = document["components"].setdefault("responses", {})
    document["components"]["schemas"]["Problem"] = Problem.model_json_schema()
    for methods in document["paths"].values():
        for call in methods.values():
            for status in [status for status in call["responses"] if status.isdigit() and int(status) >= ERRORS]:
                if status in BARE and call["tags"] == ["Contents"]:
                    continue
                name = HTTPStatus(int(status)).phrase.replace(" ", "")
                shared[name] = {"description": HTTPStatus(int(status)).phrase, "content": PROBLEM}
                call["responses"][status] = {"$ref": f"#/components/responses/{name}"}
    return document


def calls(
    document: Mapping[str, Mapping[str, Mapping[str, Mapping[str, object]]]],
) -> dict[str, list[dict[str, object]]]:
    """Return the calls by tag, in the order of the document."""
    found: dict[str, list[dict[str, object]]] = {}
    for path, methods in document["paths"].items():
        for method, call in methods.items():
            tags = call.get("tags")
            tag = str(tags[0]) if isinstance(tags, list) and tags else "Other"
            found.setdefault(tag, []).append({**call, "method": method.upper(), "path": path})
    return found


def named(schema: object) -> str:
    """Return a schema's name for people."""
    if not isinstance(schema, Mapping):
        return ""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if choices := schema.get("anyOf"):
        return " or ".join(named(choice) for choice in choices)
    if "enum" in schema:
        return ", ".join(map(str, schema["enum"]))
    if "const" in schema:
        return str(schema["const"])
    kind = str(schema.get("type", "anything"))
    return f"list of {named(schema.get('items'))}" if kind == "array" else str(schema.get("format") or kind)
