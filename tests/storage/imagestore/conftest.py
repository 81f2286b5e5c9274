"""What tests of packed members share."""

import pytest


@pytest.fixture
def small_members(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take small members out of small files as well."""
    monkeypatch.setattr("storage.imagestore.upkeep.members.search.LEAST_BYTES", 2048)
    monkeypatch.setattr("storage.imagestore.upkeep.members.taking.WORTH_BYTES", 2048)
    monkeypatch.setattr("storage.imagestore.upkeep.taking_apart.WORTH", 0.0)
