"""What one engine compiled, others of its kind do not compile again."""

from collections.abc import Hashable
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine.interfaces import Compiled

from catalog import open_catalog
from catalog.store.compiled import CompiledStatements

POSTGRESQL = "postgresql+psycopg://"


def asked(folder: Path) -> None:
    folder.mkdir()
    with open_catalog(f"sqlite:///{folder}/catalog.db") as catalog:
        list(catalog.images(limit=7, owner="somebody"))
        list(catalog.exports())


def test_a_second_catalog_compiles_nothing(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled, keep = list[Hashable](), CompiledStatements.__setitem__

    def noted(statements: CompiledStatements, key: Hashable, value: Compiled) -> None:
        compiled.append(key)
        keep(statements, key, value)

    monkeypatch.setattr(CompiledStatements, "__setitem__", noted)
    monkeypatch.setattr("catalog.store.sql.STATEMENTS", CompiledStatements())
    asked(tmp_path / "one")
    assert len(compiled) > 3
    compiled.clear()
    asked(tmp_path / "other")
    assert compiled == []


def test_each_kind_of_database_and_version_has_its_own() -> None:
    statements, compiled = CompiledStatements(), sa.select(sa.literal(1)).compile()
    old, new, sqlite = (sa.make_url(url).get_dialect()() for url in (POSTGRESQL, POSTGRESQL, "sqlite://"))
    old.server_version_info, new.server_version_info = (14, 1), (16, 2)
    statements[sqlite, "a statement"] = compiled
    assert statements.get((sqlite, "a statement")) is compiled
    assert statements.get((old, "a statement")) is statements.get((sqlite, "another")) is None
    statements[old, "a statement"] = compiled
    assert statements.get((new, "a statement")) is None
    del statements[old, "a statement"]
    assert len(statements) == 1
