"""What every record has to be besides itself."""

from catalog import records
from catalog.records import Record


def test_no_record_looks_like_a_mapping() -> None:
    """Prefect takes a record apart with dict(), which calls whatever is called `keys`."""
    kinds = [kind for kind in vars(records).values() if isinstance(kind, type) and issubclass(kind, Record)]
    assert len(kinds) > 50
    assert [kind.__name__ for kind in kinds if "keys" in kind.model_fields] == []
