"""The language of a page: the English sentences are the keys of their translations.

One table, `static/words-zh.json`, serves templates and scripts; `tests/console/look/test_words.py` finds missing
entries.
"""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Literal, Self

from starlette.requests import Request

Language = Literal["en", "zh-CN"]
COOKIE = "imagewright-language"
NAMES: Mapping[Language, str] = {"en": "English", "zh-CN": "中文"}
"""Each language's own name, in the order offered."""
WORDS = Path(__file__).parents[1] / "static" / "words-zh.json"

ONE: Mapping[str, str] = {
    "{count} images, {unproven} not proven since they came": "{count} image, {unproven} not proven since it came",
    "{storage}: {count} images are damaged": "{storage}: {count} image is damaged",
    "Webhook {name}: {count} events were not delivered": "Webhook {name}: {count} event was not delivered",
    "{count} leftovers take room": "{count} leftover takes room",
    "{count} pieces of work wait for a storage": "{count} piece of work waits for a storage",
}
"""English patterns in the singular; Chinese has one form for all numbers."""


def english(pattern: str, values: Mapping[str, object]) -> str:
    """Return an English sentence, in the singular where its count is 1."""
    chosen = ONE.get(pattern, pattern) if values.get("count") == 1 else pattern
    return chosen.format(**values)


class Said(str):
    """An English sentence with its pattern and values, so that it can be translated."""

    __slots__ = ("pattern", "values")
    pattern: str
    values: Mapping[str, object]

    def __new__(cls, pattern: str, **values: object) -> Self:
        """Return the sentence. pattern: text with `{name}` for each value."""
        made = super().__new__(cls, english(pattern, values))
        made.pattern, made.values = pattern, values
        return made


class Words:
    """Translates into one language: `t` of the templates."""

    def __init__(self, language: Language) -> None:
        self.language = language
        self._table = chinese() if language == "zh-CN" else {}

    def __call__(self, text: str, **values: object) -> str:
        """Return a sentence in this language, or unchanged if it has no translation, such as names and errors."""
        if isinstance(text, Said):
            values = {name: self(value) if isinstance(value, str) else value for name, value in text.values.items()}
            text = text.pattern
        if text in self._table:
            return self._table[text].format(**values) if values else self._table[text]
        return english(text, values) if values else text


@cache
def chinese() -> Mapping[str, str]:
    """Return the Chinese translations by their English sentences."""
    table: dict[str, str] = json.loads(WORDS.read_text(encoding="utf-8"))
    return table


def language_of(request: Request) -> Language:
    """Return a visitor's language: the one they chose, else the first supported one of their browser."""
    chosen = request.cookies.get(COOKIE)
    if chosen in NAMES:
        return "zh-CN" if chosen == "zh-CN" else "en"
    for wanted in _by_preference(request.headers.get("Accept-Language", "")[:400]):
        if wanted in ("en", "zh"):
            return "zh-CN" if wanted == "zh" else "en"
    return "en"


def _by_preference(header: str) -> list[str]:
    """Return the languages of an Accept-Language header, most preferred first, without regions."""
    found: list[tuple[float, str]] = []
    for part in header.split(","):
        name, _, said = part.strip().partition(";q=")
        try:
            wanted = float(said or 1)
        except ValueError:
            continue
        found.append((-wanted, name.partition("-")[0].lower()))
    return [name for weight, name in sorted(found, key=lambda one: one[0]) if weight < 0]
