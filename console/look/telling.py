"""Translate sentences of flows and errors for a page's visitor, on their way there: stored texts never change."""

import json
from collections.abc import Callable

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from catalog.records import Action, Plan
from console.look.language import Language, language_of
from console.look.sentences import sentences_of

SENTENCES = ("errors", "text", "verb", "finding", "kind", "check")
"""The tables of sentences in use: an error names operations and findings, a plan says why it does no more, a gate
what a check found."""
LONGEST = 1 << 16
"""Most bytes of an answer that is examined: a sentence has fewer."""
REFUSED = 400


def told(text: str, language: Language) -> str:
    """Return a sentence of an error or a run in a language, unchanged if it has no translation."""
    return text if language == "en" else sentences_of(*SENTENCES).said(text) or text


def told_lines(text: str, language: Language) -> str:
    """Return a waiting run's list, one sentence per line, in a language."""
    return "\n".join(told(line, language) for line in text.split("\n"))


def told_plan(plan: Plan, language: Language) -> Plan:
    """Return a plan in a language; names and other values stay."""
    if language == "en":
        return plan
    actions = tuple(map(_told_action, plan.actions))
    return plan.model_copy(update={"actions": actions, "summary": told(plan.summary, language)})


def _told_action(action: Action) -> Action:
    verb, subject = sentences_of("verb").said(action.verb), sentences_of("subject").said(action.subject)
    said = {"verb": verb, "subject": subject, "reason": told(action.reason, "zh-CN")}
    return action.model_copy(update={name: text for name, text in said.items() if text})


class InTheirLanguage:
    """ASGI middleware: translate the `error` of an answer to a page. apart: tells whether a path is for programs."""

    def __init__(self, app: ASGIApp, apart: Callable[[str], bool]) -> None:
        self._app, self._apart = app, apart

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; hold back only a refusal in JSON for a visitor with another language than English."""
        if scope["type"] != "http" or self._apart(scope["path"]) or language_of(Request(scope)) == "en":
            await self._app(scope, receive, send)
            return
        await self._app(scope, receive, _Answer(send))


class _Answer:
    """An answer to a page in Chinese."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._start: Message | None = None
        self._body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start" and _is_refusal(message):
            self._start = message
            return
        if self._start is None:
            await self._send(message)
            return
        self._body += message.get("body", b"")
        if not message.get("more_body"):
            await self._leave(self._start)

    async def _leave(self, start: Message) -> None:
        body = _told_body(self._body)
        if body is not self._body:
            MutableHeaders(scope=start)["Content-Length"] = str(len(body))
        await self._send(start)
        await self._send({"type": "http.response.body", "body": body})


def _is_refusal(start: Message) -> bool:
    """Tell whether an answer is a short refusal."""
    headers = Headers(raw=start["headers"])
    length = headers.get("Content-Length", "")
    short = length.isdigit() and int(length) <= LONGEST
    return start["status"] >= REFUSED and headers.get("Content-Type") == "application/json" and short


def _told_body(body: bytes) -> bytes:
    try:
        said = json.loads(body)
    except ValueError:
        return body
    if not isinstance(said, dict) or not isinstance(said.get("error"), str):
        return body
    translated = {**said, "error": told(said["error"], "zh-CN")}
    return json.dumps(translated, ensure_ascii=False, separators=(",", ":")).encode()
