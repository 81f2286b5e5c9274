"""The event log and lineage leave the system as documents."""

import gzip
import json
from pathlib import Path

import pytest

from catalog import open_catalog
from flows.command.documents import DocumentNotWritten, write_document
from flows.command.reading import events


def test_the_event_log_is_written_as_json_lines_packed_by_its_name(home: Path, tmp_path: Path) -> None:
    target = tmp_path / "log.jsonl.gz"
    events(output=str(target))
    lines = gzip.decompress(target.read_bytes()).decode().splitlines()
    with open_catalog() as catalog:
        assert [json.loads(line)["hash"] for line in lines] == [event.hash for event in catalog.events()]


@pytest.mark.parametrize("target", ["gopher://127.0.0.1/x", "{tmp}/absent/log.jsonl"])
def test_a_place_that_cannot_be_written_is_said_in_one_sentence(tmp_path: Path, target: str) -> None:
    with pytest.raises(DocumentNotWritten, match=r"^output: .* can't be written: .*"):
        write_document(target.format(tmp=tmp_path), ["{}"])
