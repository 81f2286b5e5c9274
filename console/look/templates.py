"""The templates shared by all pages, and their common variables."""

import re
from pathlib import Path
from urllib.parse import quote

from jinja2.ext import Extension
from markupsafe import Markup
from starlette.requests import Request
from starlette.templating import Jinja2Templates

from console.entrance.visitors import named_visitor
from console.look.language import NAMES, Words, language_of
from console.look.preferences import THEMES, theme_of
from console.look.telling import told
from console.overdue import Overdue
from flows.registry import OPERATIONS

INDENTED = re.compile(r"^[ \t]+", re.MULTILINE)
ICON = Markup('<svg class="icon" aria-hidden="true"><use href="/static/icons.svg#{}"/></svg>')


def icon(name: str) -> Markup:
    """Return an icon of `static/icons.svg`, hidden from screen readers: it has a word beside it or a label."""
    return ICON.format(name)


def happened(kind: str) -> str:
    """Return an event's name for people, e.g. `image added`."""
    return kind.removeprefix("imagewright.").replace("_", " ").replace(".", " ")


def _known(request: Request) -> dict[str, object]:
    """Return the variables of every page. person: the visitor's name; None for the operators."""
    here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    language = language_of(request)
    return {
        "person": named_visitor(request),
        "t": Words(language),
        "told": lambda text: told(text, language),
        "theme": theme_of(request),
        "here": quote(here, safe=""),
    }


class Unindented(Extension):
    """Removes the indentation of templates, a quarter of the bytes of a list of 50 rows."""

    def preprocess(self, source: str, name: str | None, filename: str | None = None) -> str:  # noqa: ARG002 (Jinja's names)
        """Return a template without its lines' leading blanks; inserted values are not touched."""
        return INDENTED.sub("", source)


TEMPLATES = Jinja2Templates(Path(__file__).parents[1] / "templates", context_processors=[_known])
TEMPLATES.env.add_extension(Unindented)
TEMPLATES.env.policies["json.dumps_kwargs"] = {"sort_keys": True, "separators": (",", ":")}
TEMPLATES.env.trim_blocks = TEMPLATES.env.lstrip_blocks = True
TEMPLATES.env.filters.update(verb=lambda flow: OPERATIONS[flow].title, happened=happened)
TEMPLATES.env.globals.update(overdue=Overdue(), icon=icon, themes=THEMES, languages=NAMES)
