"""Hands on a keyboard: no place of a page is clicked, touched or focused otherwise."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page

MOST_TABS = 150
"""More than a list of a few rows and its page have; a person has given up before."""
HERE = """() => {
  const one = document.activeElement;
  if (!one || one === document.body) return "";
  const said = one.ariaLabel || [...(one.labels ?? [])].map((label) => label.textContent).join(" ") || one.textContent;
  return said.replace(/\\s+/g, " ").trim();
}"""


class Keyboard:
    """Presses keys, and tells what has the focus by the name that a screen reader would say."""

    def __init__(self, page: "Page") -> None:
        self._page = page

    @property
    def here(self) -> str:
        """Name of what has the focus, empty where nothing has it."""
        return str(self._page.evaluate(HERE))

    def press(self, *keys: str) -> None:
        """Press keys one after another."""
        for key in keys:
            self._page.keyboard.press(key)

    def to(self, name: str, key: str = "Tab") -> None:
        """Press Tab until what has this name has the focus. Raises AssertionError with where it came past."""
        passed: list[str] = []
        for _ in range(MOST_TABS):
            if passed and passed[-1] == name:
                return
            self.press(key)
            passed.append(self.here)
        raise AssertionError(f"no {name!r} on the way: {passed}")

    def fill(self, name: str, text: str) -> None:
        """Go to a field and type into it."""
        self.to(name)
        self._page.keyboard.insert_text(text)
