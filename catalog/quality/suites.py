"""The expectations, each with the sentence shown when it fails.

Importing this module imports Great Expectations (seconds, 240 MB), so only the quality agent does.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, get_args

import great_expectations as gx
import great_expectations.expectations as gxe

from catalog.records import ImageFormat, ImageStatus
from catalog.rules.images.contradictions import REFUSING
from catalog.rules.images.naming import MAX_NAME, NAME_PATTERN

if TYPE_CHECKING:
    from great_expectations.expectations.expectation import Expectation

FORMATS = list(get_args(ImageFormat))
STATUSES = [status.value for status in ImageStatus]


def said(sentence: str) -> dict[str, Any]:
    """Return the metadata that carries an expectation's sentence."""
    return {"sentence": sentence}


def present(columns: Sequence[str]) -> "list[Expectation]":
    """Return a not-null expectation per column, as most expectations ignore nulls."""
    return [gxe.ExpectColumnValuesToNotBeNull(column=c, meta=said(f"{c} is known")) for c in columns]


def equal(column: str, other: str, sentence: str) -> "Expectation":
    """Return the expectation that two measured columns are equal."""
    return gxe.ExpectColumnPairValuesToBeEqual(column_A=column, column_B=other, meta=said(sentence))


def finds_nothing(column: str, sentence: str) -> "Expectation":
    """Return the expectation that a rule refused nothing; otherwise the column holds the rule's sentence."""
    return gxe.ExpectColumnValuesToBeInSet(column=column, value_set=[""], meta={**said(sentence), "rule": column})


def image_suite() -> gx.ExpectationSuite:
    """Return the suite that gates Ready; it runs over one row of `ImageFacts`."""
    rules: list[Expectation] = [
        *present(["image_id", "md5", "sha256", "size_bytes", "virtual_size_bytes", "stored_sha256"]),
        gxe.ExpectColumnValuesToMatchRegex(column="name", regex=NAME_PATTERN, meta=said("the name follows the naming rules")),
        gxe.ExpectColumnValuesToMatchRegex(column="md5", regex="^[0-9a-f]{32}$", meta=said("md5 is 32 hex digits")),
        gxe.ExpectColumnValuesToMatchRegex(column="sha256", regex="^[0-9a-f]{64}$", meta=said("sha256 is 64 hex digits")),
        gxe.ExpectColumnValuesToBeInSet(column="detected_format", value_set=FORMATS, meta=said("the format is one that is kept")),
        equal("declared_format", "detected_format", "the bytes are of the declared format"),
        gxe.ExpectColumnValuesToBeBetween(column="size_bytes", min_value=1, meta=said("the file is not empty")),
        gxe.ExpectColumnValuesToBeBetween(column="virtual_size_bytes", min_value=1, meta=said("the virtual size is not zero")),
        gxe.ExpectColumnPairValuesAToBeGreaterThanB(
            column_A="max_virtual_size_bytes", column_B="virtual_size_bytes", or_equal=True,
            meta=said("the virtual size is within the cap")),
        equal("announced_size_bytes", "size_bytes", "as many bytes arrived as the source announced"),
        equal("stored_size_bytes", "expected_stored_size_bytes", "the storage describes a file of the size that was measured"),
        equal("stored_sha256", "expected_stored_sha256", "the storage describes the bytes that were measured"),
        equal("expected_checksum", "measured_checksum", "the checksum is the one that was expected"),
        finds_nothing("safety", "no safety rule refused the bytes"),
        *(finds_nothing(rule, sentence) for rule, sentence in REFUSING.items()),
    ]  # fmt: skip
    return gx.ExpectationSuite(name="image", expectations=rules)


def catalog_suite() -> gx.ExpectationSuite:
    """Return the suite over the catalog's own `images` table."""
    ready = {"row_condition": 'col("status")=="Ready"', "condition_parser": "great_expectations"}
    rules: list[Expectation] = [
        *present(["id", "name", "status", "format", "owner", "version"]),
        gxe.ExpectColumnValuesToBeUnique(column="id", meta=said("image ids are unique")),
        gxe.ExpectColumnValueLengthsToBeBetween(column="name", min_value=1, max_value=MAX_NAME, meta=said("names have 1 to 128 characters")),
        gxe.ExpectColumnValuesToBeInSet(column="format", value_set=FORMATS, meta=said("formats are known")),
        gxe.ExpectColumnValuesToBeInSet(column="status", value_set=STATUSES, meta=said("statuses are known")),
        gxe.ExpectColumnValueLengthsToEqual(column="md5", value=32, meta=said("every md5 has 32 digits")),
        gxe.ExpectColumnValueLengthsToEqual(column="sha256", value=64, meta=said("every sha256 has 64 digits")),
        gxe.ExpectColumnValuesToNotBeNull(column="md5", meta=said("every Ready image has an md5"), **ready),
        gxe.ExpectColumnValuesToNotBeNull(column="sha256", meta=said("every Ready image has a sha256"), **ready),
        gxe.ExpectColumnValuesToBeBetween(column="size_bytes", min_value=1, meta=said("sizes are positive")),
        gxe.ExpectColumnValuesToBeBetween(column="virtual_size_bytes", min_value=1, meta=said("virtual sizes are positive")),
    ]  # fmt: skip
    return gx.ExpectationSuite(name="catalog", expectations=rules)
