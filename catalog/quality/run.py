"""Running the suites. Importing this module imports Great Expectations: only the quality agent does."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import great_expectations as gx
import pandas as pd

from catalog.quality.facts import ImageFacts
from catalog.quality.suites import catalog_suite, image_suite
from catalog.records import QualityCheck, QualityReport

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
    validation = context.validation_definitions.add(
        gx.ValidationDefinition(name="image", data=batch, suite=suite)
    )
    frame = pd.DataFrame([facts.model_dump()])
    result = validation.run(batch_parameters={"dataframe": frame})
    return _report("image", result.results, docs_url=None)


def check_catalog(catalog_url: str, docs_folder: Path) -> QualityReport:
    """Run the catalog suite on the catalog's database itself, and build Data Docs below `docs_folder`."""
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
    return _report("catalog", results, docs_url=(docs_folder / "index.html").as_uri())


def _docs_site(folder: Path) -> dict[str, Any]:
    store = {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(folder)}
    index = {"class_name": "DefaultSiteIndexBuilder"}
    return {"class_name": "SiteBuilder", "site_index_builder": index, "store_backend": store}


def _sql_source(context: Any, catalog_url: str) -> Any:
    if catalog_url.startswith("sqlite"):
        return context.data_sources.add_sqlite("catalog", connection_string=catalog_url)
    return context.data_sources.add_postgres("catalog", connection_string=catalog_url)


def _report(suite: str, results: "list[ExpectationValidationResult]", docs_url: str | None) -> QualityReport:
    checks = tuple(_check(result) for result in results)
    return QualityReport(
        suite=suite,
        success=all(c.success for c in checks),
        checks=checks,
        checked_at=datetime.now(UTC),
        docs_url=docs_url,
    )


def _check(result: "ExpectationValidationResult") -> QualityCheck:
    rule = result.expectation_config
    columns = [rule.kwargs[k] for k in ("column", "column_A", "column_B") if k in rule.kwargs]
    sentence = str((rule.meta or {}).get("sentence", rule.type))
    if not result.success:
        sentence = f"not so: {sentence}; {_found(result)}"
    return QualityCheck(
        name=f"{rule.type}({', '.join(columns)})", success=bool(result.success), sentence=sentence
    )


def _found(result: "ExpectationValidationResult") -> str:
    if result.exception_info and result.exception_info.get("raised_exception"):
        return f"the check itself failed: {result.exception_info.get('exception_message')}"
    values = result.result.get("partial_unexpected_list") or []
    count = result.result.get("unexpected_count", len(values))
    return f"{count} unexpected, e.g. {values[0]!r}" if values else f"{count} unexpected"
