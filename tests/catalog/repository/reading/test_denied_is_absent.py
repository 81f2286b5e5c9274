"""What may not be seen is answered as what is not there: in the same words, and after the same questions to the database."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest
import sqlalchemy as sa

from catalog.errors import ExportNotFound, ImageNotFound
from catalog.records import Identity, SignedIn
from catalog.repository.catalog import Catalog
from catalog.store.sql import SqlStore
from console.visibility import Visibility
from tests.catalog.samples import an_export, an_image, opened, saved


@pytest.fixture
def catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Catalog]:
    monkeypatch.setenv("IMAGEWRIGHT_HOME", str(tmp_path / "home"))
    with opened(f"sqlite:///{tmp_path}/catalog.db") as ready:
        yield ready


@contextmanager
def asked(catalog: Catalog) -> Iterator[list[str]]:
    """Note what the database is asked."""
    noted: list[str] = []
    store = catalog._store
    assert isinstance(store, SqlStore)

    @sa.event.listens_for(store.engine, "before_cursor_execute")
    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        noted.append(statement)

    yield noted
    sa.event.remove(store.engine, "before_cursor_execute", note)


def visibility(catalog: Catalog) -> Visibility:
    now = datetime.now(UTC)
    eve = Identity(name="eve", account="others", role="user", created_at=now, updated_at=now)
    return Visibility(catalog, SignedIn(identity=eve, proof="session:1"))


def test_a_guess_costs_the_same_questions_as_an_id_that_is_known(catalog: Catalog) -> None:
    (image,) = saved(catalog, an_image(owner="team"))
    export = an_export(image)
    with catalog.changing("admin") as change:
        change.save_export(export)
    costs: dict[str, list[list[str]]] = {"image": [], "export": []}
    for image_id, export_id in ((image.id, export.id), (str(uuid4()), str(uuid4()))):
        with asked(catalog) as noted, pytest.raises(ImageNotFound):
            visibility(catalog).image(image_id)
        costs["image"].append(noted)
        with asked(catalog) as noted, pytest.raises(ExportNotFound):
            visibility(catalog).export(export_id)
        costs["export"].append(noted)
    for known, guessed in costs.values():
        assert known == guessed
        assert known
