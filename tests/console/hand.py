"""The hand of a person who does one of the ten tasks, counting its clicks; the table of clicks is in `console/README.md`."""

from typing import TYPE_CHECKING

from deployments.definitions import ROOT

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

MOST = 6
"""Clicks that a task may take."""


class Hand:
    """Clicks, and counts them. What is typed or dropped is no click."""

    def __init__(self, console: str, page: "Page") -> None:
        self.page, self.clicks, self._start = page, 0, f"{console}/?tab=images"

    def begin(self) -> None:
        self.page.goto(self._start)
        self.clicks = 0

    def click(self, place: "Locator") -> None:
        place.click()
        self.page.wait_for_load_state()  # of a link: a button of the next page does nothing before its scripts are there
        self.clicks += 1

    def button(self, name: str) -> None:
        self.click(self.page.get_by_role("button", name=name, exact=True))

    def main(self) -> None:
        """Press the button of the dialog; where a plan belongs to it, it has been shown by then."""
        self.click(self.page.locator("dialog .main:enabled"))

    def ends(self, task: str, message: str) -> None:
        """Wait for what is said at the end, and compare the clicks with those in the README."""
        self.page.locator(".toast", has_text=message).first.wait_for()
        assert self.clicks == clicks_written()[task] <= MOST


def clicks_written() -> dict[str, int]:
    """Return the clicks of each task as the README has them."""
    table = (ROOT / "console/README.md").read_text().partition("## Ten tasks")[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines() if line.startswith("| ")]
    return {row[0]: int(row[1]) for row in rows if row[1].isdigit()}
