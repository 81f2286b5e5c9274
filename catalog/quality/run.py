"""Run the suites. Importing this module imports Great Expectations, so only the quality agent does."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import great_expectations as gx
import pandas as pd

from catalog.quality.facts import ImageFacts
from catalog.quality.suites import catalog_suite, image_suite
from catalog.records import QualityCheck, QualityReport
from catalog.rules.images.contradictions import REFUSING
from catalog.units import utc_now

if TYPE_CHECKING:
    from great_expectations.core import ExpectationValidationResult


def check_image(facts: ImageFacts) -> QualityReport:
    """Run the image suite over one image's facts. About 0.1 s."""
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    batch = (
        context.data_sources.add_pandas("facts")
        .add_dataframe_asset("image")
        .add_batch_definition_whole_dataframe("one")
    )
    suite = context.suites.add(image_suite())
    validation = context.validation_definitions.add(gx.ValidationDefinition(name="image", data=batch, suite=suite))
    row = facts.row(REFUSING)
    result = validation.run(batch_parameters={"dataframe": pd.DataFrame([row])})
    return _report("image", [_check(one, row) for one in result.results], docs_url=None)


def check_catalog(catalog_url: str, docs_folder: Path) -> QualityReport:
    """Run the catalog suite directly on the catalog's database, and build Data Docs below `docs_folder`."""
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    context.add_data_docs_site("local", _docs_site(docs_folder))
    source = _sql_source(context, catalog_url)
    batch = source.add_table_asset("images", table_name="images").add_batch_definition_whole_table("all")
    validation = context.validation_definitions.add(
        gx.ValidationDefinition(name="catalog", data=batch, suite=context.suites.add(catalog_suite()))
    )
    docs = gx.checkpoint.UpdateDataDocsAction(name="docs", site_names=["local"])
    checkpoint = context.checkpoints.add(
        gx.Checkpoint(
            name="catalog",
            validation_definitions=[validation],
            actions=[docs],
            result_format={"result_format": "SUMMARY"},
        )
    )
    outcome = checkpoint.run()
    results = [r for run in outcome.run_results.values() for r in run.results]
    return _report("catalog", [_check(one) for one in results], docs_url=(docs_folder / "index.html").as_uri())


def _docs_site(folder: Path) -> dict[str, Any]:
    store = {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(folder)}
    index = {"class_name": "DefaultSiteIndexBuilder"}
    return {"class_name": "SiteBuilder", "site_index_builder": index, "store_backend": store}


def _sql_source(context: Any, catalog_url: str) -> Any:
    if catalog_url.startswith("sqlite"):
        return context.data_sources.add_sqlite("catalog", connection_string=catalog_url)
    return context.data_sources.add_postgres("catalog", connection_string=catalog_url)


def _report(suite: str, checks: list[QualityCheck], docs_url: str | None) -> QualityReport:
    return QualityReport(
        suite=suite,
        success=all(c.success for c in checks),
        checks=tuple(checks),
        checked_at=utc_now(),
        docs_url=docs_url,
    )


def _check(result: "ExpectationValidationResult", row: Mapping[str, object] | None = None) -> QualityCheck:
    """Return the outcome of an expectation. row: the checked values, if there is only one row."""
    rule, meta = result.expectation_config, result.expectation_config.meta or {}
    columns = [rule.kwargs[k] for k in ("column", "column_A", "column_B") if k in rule.kwargs]
    sentence = str(meta.get("sentence", rule.type))
    if not result.success:
        sentence = _failed(result, sentence, {c: row[c] for c in columns} if row else None, bool(meta.get("rule")))
    name = str(meta.get("rule") or f"{rule.type}({', '.join(columns)})")
    return QualityCheck(name=name, success=bool(result.success), sentence=sentence)


def _failed(
    result: "ExpectationValidationResult", sentence: str, given: Mapping[str, object] | None, refused: bool
) -> str:
    """Return a sentence with the given and the allowed value; the finding of a rule already has both."""
    if result.exception_info and result.exception_info.get("raised_exception"):
        return f"not so: {sentence}; the check itself failed: {result.exception_info.get('exception_message')}"
    if given is not None and refused:
        return str(next(iter(given.values())))
    if given is not None:
        values = ", ".join(f"{column} is {value!r}" for column, value in given.items())
        return f"not so: {sentence}; {values}{_allowed(result.expectation_config.kwargs)}"
    found = result.result.get("partial_unexpected_list") or []
    count = result.result.get("unexpected_count", len(found))
    return f"not so: {sentence}; {count} of the images differ" + (f", one has {found[0]!r}" if found else "")


def _allowed(kwargs: Mapping[str, Any]) -> str:
    if kwargs.get("value_set"):
        return f"; allowed: {', '.join(map(str, kwargs['value_set']))}"
    if kwargs.get("regex"):
        return f"; allowed: what matches {kwargs['regex']}"
    return f"; allowed: {kwargs['min_value']} and more" if kwargs.get("min_value") is not None else ""
