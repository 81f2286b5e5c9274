"""What the command that verifies the log finds besides: records that say something else than it."""

import json
import sqlite3
from pathlib import Path

import pytest

from catalog.errors import RecordNotLogged
from flows.command import reading
from tests.flows.managed import placed


def test_a_record_that_was_changed_past_the_log_shows(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = placed(owner="bob")
    reading.events(verify=True, as_json=True)
    said = json.loads(capsys.readouterr().out)
    assert said == {"entries": 4, "records": 4, "intact": True}  # two storages, image, replica
    with sqlite3.connect(home / "catalog.db") as database:
        database.execute("UPDATE images SET owner = 'eve'")
    with pytest.raises(RecordNotLogged, match=f"image:{image.id} is not what the event log says of it"):
        reading.events(verify=True)
