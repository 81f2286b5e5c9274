"""What the environment says, and what it does not say."""

import pytest
from pydantic import ValidationError

from catalog.settings import Settings, load_settings

PATHS = (
    "home", "scratch", "receiving", "exports", "uploads", "ca_file", "ssh_key", "ssh_known_hosts", "quality_socket",
    "tls_certificate", "tls_key",
)  # fmt: skip


@pytest.mark.parametrize("name", PATHS)
def test_an_empty_path_counts_as_not_set(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(f"IMAGEWRIGHT_{name.upper()}", "")
    empty = getattr(load_settings(), name)
    monkeypatch.delenv(f"IMAGEWRIGHT_{name.upper()}")
    assert empty == getattr(load_settings(), name)


def test_every_path_is_among_them() -> None:
    found = [name for name, field in Settings.model_fields.items() if "Path" in str(field.annotation)]
    assert sorted(found) == sorted((*PATHS, "file_roots"))


def test_an_empty_list_of_folders_allows_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGEWRIGHT_FILE_ROOTS", "")
    assert load_settings().file_roots == ()


def test_every_number_has_its_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seconds and days are added to dates, so that they need an upper limit as well."""
    numbers = {name: field for name, field in Settings.model_fields.items() if field.annotation in (int, float)}
    assert len(numbers) > 20
    for name, field in numbers.items():
        for wrong in ("-1", "nan", "inf", *(["1e300"] if field.annotation is float else [])):
            monkeypatch.setenv(f"IMAGEWRIGHT_{name.upper()}", wrong)
            with pytest.raises(ValidationError):
                load_settings()
        monkeypatch.delenv(f"IMAGEWRIGHT_{name.upper()}")
