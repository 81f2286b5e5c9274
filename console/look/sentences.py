"""Translate finished sentences of flows and errors into Chinese by matching them with templates.

A template is English with `{name}` for a value, which is repeated as it is; `{count:d}` are digits, `{owner:one}` has
no blank in it, `{given:part}` has no `; ` in it, `{state:word}` is a word of the pages, `{why:said}` is a nested
sentence, `{users:list}` are several after commas. Text that fits no template stays as it is. Several sentences are
joined by `; `, which may also occur within a sentence. Between two values there is always fixed text, searched once
from the left: whatever a name contains, a template costs one pass over the text.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

from console.look.language import chinese

FOLDER = Path(__file__).parent / "wordings"
VALUE = re.compile(r"\{(\w+)(?::(\w+))?\}")
DIGITS = "[0-9]{1,30}+"
LONGEST = 4096
"""Most characters of a sentence that is looked up."""
DEEPEST = 7
"""Most nesting of sentences: an add of several, refused, for a finding, about a kind of file."""
LISTED = re.compile(", | or | and ")
MOST = 50
"""Most sentences joined: nobody reads more."""
JOINED = 4
"""Most parts, separated by AND, of one sentence."""
KEPT = 512
"""Translations cached."""
LOOSE = 6
"""A template with fewer fixed letters fits too much: it counts only if its nested sentences are known as well."""
AND = "; "
"""Joins sentences."""
BESIDE, LISTED_BY = "\N{FULLWIDTH SEMICOLON}", "\N{IDEOGRAPHIC COMMA}"
"""Join sentences, and items of a list, in Chinese."""


@dataclass(frozen=True)
class Value:
    """A value of a template. kind: as in the template."""

    name: str
    kind: str

    def fits(self, text: str) -> bool:
        """Tell whether a text may be this value."""
        if self.kind == "word":
            return text in chinese()
        if self.kind == "part":
            return bool(text) and AND not in text
        return bool(text) and (self.kind != "one" or not re.search(r"\s", text))


@dataclass(frozen=True)
class Template:
    """A sentence with values.

    fixed: the texts around the values, one more than there are values; longest: the longest of them.
    """

    english: str
    other: str
    longest: str
    fixed: tuple[re.Pattern[str], ...]
    values: tuple[Value, ...]

    @property
    def letters(self) -> int:
        """The number of fixed letters: of two fitting templates, the one with more of them is meant."""
        return sum(map(str.isalpha, VALUE.sub("", self.english)))

    def found_in(self, text: str) -> Mapping[str, str] | None:
        """Return the values of a sentence, None if it does not fit."""
        if self.longest not in text:  # true of nearly all texts: the quick exit
            return None
        at = self.fixed[0].match(text)
        found = dict(at.groupdict()) if at else {}
        for value, fixed in zip(self.values, self.fixed[1:], strict=True):
            before = at.end() if at else 0
            at = fixed.search(text, before + 1) if at else None
            if (
                at is None
                or not value.fits(text[before : at.start()])
                or (not before and AND in text[: at.start()] and not value.kind)
            ):
                return None
            found |= {value.name: text[before : at.start()], **at.groupdict()}
        return found if at else None


def _by_beginning(ordered: Sequence[Template]) -> Mapping[str, Sequence[Template]]:
    """Return templates by the first letter of the texts that they fit; under "" those that begin with a value."""
    firsts = {one.english[0] for one in ordered} - {"{"}
    return {first: [one for one in ordered if one.english[0] in (first, "{")] for first in (*firsts, "")}


def template(english: str, other: str) -> Template:
    """Return the template of a table's row."""
    pieces, values, end = [""], [], 0
    for one in VALUE.finditer(english):
        pieces[-1] += re.escape(english[end : one.start()])
        end = one.end()
        if one[2] == "d":
            pieces[-1] += f"(?P<{one[1]}>{DIGITS})"
        else:
            values.append(Value(one[1], one[2] or ""))
            pieces.append("")
    pieces[-1] += re.escape(english[end:]) + r"\Z"
    longest = max(VALUE.sub("\0", english).split("\0"), key=len)
    return Template(english, other, longest, tuple(map(re.compile, pieces)), tuple(values))


class Sentences:
    """A set of templates."""

    def __init__(self, rows: Mapping[str, str]) -> None:
        self._whole = {english: other for english, other in rows.items() if not VALUE.search(english)}
        made = [template(english, other) for english, other in rows.items() if VALUE.search(english)]
        self._made = _by_beginning(sorted(made, key=lambda one: -one.letters))
        self._kept = lru_cache(KEPT)(self._looked_up)

    def said(self, text: str, depth: int = 0) -> str | None:
        """Return a text in Chinese; None if it is not one or several of these sentences."""
        return self._kept(text, depth) if 0 < len(text) <= LONGEST and depth <= DEEPEST else None

    def _looked_up(self, text: str, depth: int) -> str | None:
        return self._alone(text, depth) or self._several(text.split(AND), depth)

    def _alone(self, text: str, depth: int) -> str | None:
        if text in self._whole:
            return self._whole[text]
        for one in self._made.get(text[:1], self._made[""]):
            if (found := one.found_in(text)) is not None and (said := self._with(one, found, depth)):
                return said
        return None

    def _with(self, one: Template, found: Mapping[str, str], depth: int) -> str | None:
        """Return a sentence with its values; None for a loose template whose nested sentences are unknown."""
        values = dict(found)
        for value in one.values:
            if value.kind == "word":
                values[value.name] = chinese()[found[value.name]]
            if value.kind == "list":
                values[value.name] = self._listed(found[value.name], depth)
            if value.kind == "said":
                said = self.said(found[value.name], depth + 1)
                if said is None and one.letters < LOOSE:
                    return None
                values[value.name] = said or found[value.name]
        return one.other.format_map(values)

    def _listed(self, text: str, depth: int) -> str:
        """Return a list translated, or unchanged if any item is unknown: a name may contain a comma."""
        if whole := self._alone(text, depth + 1):
            return whole
        parts = LISTED.split(text)
        said = [self.said(part, depth + 1) for part in parts] if len(parts) <= MOST else [None]
        return LISTED_BY.join(map(str, said)) if all(said) else text

    def _several(self, parts: Sequence[str], depth: int) -> str | None:
        """Translate joined sentences: from the end on, each the shortest one after which all is known."""
        if not 1 < len(parts) <= MOST:
            return None
        rest = {len(parts): ""}
        for begin in reversed(range(len(parts))):
            for end in range(begin + 1, min(begin + JOINED, len(parts)) + 1):
                said = self._alone(AND.join(parts[begin:end]), depth + 1) if end in rest else None
                if said:
                    rest[begin] = f"{said}{BESIDE}{rest[end]}" if rest[end] else said
                    break
        return rest.get(0)


def rows_of(*names: str) -> dict[str, str]:
    """Return the tables of these names as one: `errors`, or a part of `plans` or `findings`."""
    return {english: other for name in names for english, other in _tables()[name].items()}


@cache
def _tables() -> Mapping[str, Mapping[str, str]]:
    plans, findings = (_parts(f"{name}-zh.json") for name in ("plans", "findings"))
    errors: dict[str, str] = json.loads((FOLDER / "errors-zh.json").read_text(encoding="utf-8"))
    return {**plans, **findings, "errors": errors}


def _parts(name: str) -> Mapping[str, Mapping[str, str]]:
    found: dict[str, dict[str, str]] = json.loads((FOLDER / name).read_text(encoding="utf-8"))
    return found


@cache
def sentences_of(*names: str) -> Sentences:
    """Return the templates of these tables."""
    return Sentences(rows_of(*names))
