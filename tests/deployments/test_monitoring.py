"""The dashboard and the alert rules ask for metrics that are told, and Prometheus takes them."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from catalog.settings import load_settings
from console.app import create_app
from deployments.definitions import ROOT
from tests.services.process import find

FOLDER = ROOT / "deployments/monitoring"
METRIC = re.compile(r"\bimagewright_[a-z_]+")


def expressions() -> Iterator[str]:
    rules = yaml.safe_load((FOLDER / "alerts.yaml").read_text())
    yield from (rule["expr"] for group in rules["groups"] for rule in group["rules"])
    panels = json.loads((FOLDER / "dashboard.json").read_text())["panels"]
    yield from (target["expr"] for panel in panels for target in panel.get("targets", ()))


@pytest.fixture
def told(home: Path) -> set[str]:
    """Return the names of everything that can be told, families without samples included."""
    with TestClient(create_app(load_settings()), base_url="http://127.0.0.1", client=("127.0.0.1", 1)) as client:
        families = tuple(text_string_to_metric_families(client.get("/metrics").text))
    endings = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum"), "info": ("_info",)}
    names = {f"{family.name}{ending}" for family in families for ending in endings.get(family.type, ("",))}
    return names | {"imagewright_info"}


def test_every_metric_that_is_asked_for_is_told(told: set[str]) -> None:
    asked = {name for text in expressions() for name in METRIC.findall(text)}
    assert len(asked) > 20
    assert asked - told == set()


def test_prometheus_takes_the_rules() -> None:
    done = subprocess.run(
        [find("promtool", "prometheus"), "check", "rules", FOLDER / "alerts.yaml"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_alert_fires_and_one_that_should_not_does_not(tmp_path: Path) -> None:
    quiet = {"input_series": [], "interval": "1m"}
    away = [
        {"series": 'imagewright_storage_up{kind="image",storage="far"}', "values": "0x20"},
        {"series": 'imagewright_storage_up{kind="image",storage="near"}', "values": "1x20"},
    ]
    expected = {
        "exp_labels": {"severity": "warning", "kind": "image", "storage": "far"},
        "exp_annotations": {
            "summary": "The image storage far does not answer.",
            "description": "Adds to it wait, exports of what only it holds fail.",
        },
    }
    age = 'imagewright_host_last_seen_age_seconds{{host="{}",state="{}"}}'
    hosts = [
        {"series": age.format("lost", "Silent"), "values": "300x20"},
        {"series": age.format("drained", "Draining"), "values": "300x20"},
        {"series": age.format("near", "Connected"), "values": "12x20"},
    ]
    lost = {
        "exp_labels": {"severity": "warning", "host": "lost"},
        "exp_annotations": {
            "summary": "Host lost gives no sign of life.",
            "description": "What only it reaches waits; start its worker, or `imagewright drain-host` it if it is away for long.",
        },
    }
    tests = [
        {**quiet, "input_series": away, "alert_rule_test": [
            {"eval_time": "15m", "alertname": "ImagewrightStorageAway", "exp_alerts": [expected]},
            {"eval_time": "5m", "alertname": "ImagewrightStorageAway", "exp_alerts": []},
        ]},
        {**quiet, "input_series": hosts, "alert_rule_test": [
            {"eval_time": "10m", "alertname": "ImagewrightHostSilent", "exp_alerts": [lost]},
        ]},
    ]  # fmt: skip
    file = tmp_path / "tests.yaml"
    file.write_text(yaml.safe_dump({"rule_files": [str(FOLDER / "alerts.yaml")], "tests": tests}))
    done = subprocess.run(
        [find("promtool", "prometheus"), "test", "rules", file], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
