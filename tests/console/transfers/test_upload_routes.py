"""What an upload is answered when something goes wrong decides what its client does next."""

import json

from catalog.errors import CatalogUnavailable, InvalidRequest
from console.transfers.upload_routes import refused


def test_a_catalog_that_is_busy_or_away_ends_no_upload() -> None:
    answer = refused(CatalogUnavailable("sqlite:///catalog.db", "database is locked"))
    assert (answer.status_code, "Retry-After" in answer.headers) == (503, True)
    assert "database is locked" in json.loads(bytes(answer.body))["error"]


def test_what_is_wrong_with_a_request_is_final() -> None:
    answer = refused(InvalidRequest("name", "", "a name"))
    assert (answer.status_code, "Retry-After" in answer.headers) == (422, False)
