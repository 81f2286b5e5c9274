"""Families of metrics, built for each scrape. An unknown figure has a name and no samples."""

from prometheus_client.core import GaugeMetricFamily

from console.health.remembered import Known

PREFIX = "imagewright_"


def gauge(name: str, about: str, *labels: str) -> GaugeMetricFamily:
    """Return an empty family of gauges."""
    return GaugeMetricFamily(name, about, labels=labels)


def up(part: str, known: Known[object]) -> GaugeMetricFamily:
    """Return whether a part of the service is known and has no trouble now."""
    family = gauge(f"{PREFIX}{part}_up", f"1: {part} answered when it was last asked, 0: it did not.")
    family.add_metric((), float(known.value is not None and not known.trouble))
    return family
