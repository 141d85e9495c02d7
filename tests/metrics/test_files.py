"""What deploy/ and docs/ say of metrics, against what is exported."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families

from streams.metrics.definitions import ALL, HISTOGRAMS

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "deploy/prometheus/spillway.rules.yml"
DASHBOARD = json.loads((ROOT / "deploy/grafana/spillway.json").read_text())
DOCS = (ROOT / "docs/metrics.md").read_text()
NAMES = {one.name: one.labels for one in ALL}
BUCKETS = {f"{one.name}_bucket" for one in HISTOGRAMS.values()}


def expressions() -> list[str]:
    panels = [
        target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", [])
    ]
    rules: Any = yaml.safe_load(RULES.read_text())
    return panels + [rule["expr"] for group in rules["groups"] for rule in group["rules"]]


def named(expression: str) -> set[str]:
    return set(re.findall(r"spillway_[a-z0-9_]+", expression))


@pytest.mark.django_db
def test_what_is_exported_is_what_is_defined() -> None:
    text = Client().get("/metrics", headers={"host": "localhost"}).content.decode()

    exported = {
        f"{family.name}_total" if family.type == "counter" else family.name: family.documentation
        for family in text_string_to_metric_families(text)
    }
    assert exported == {one.name: one.help for one in ALL}


def test_dashboard_and_alerts_name_what_is_exported_by_labels_that_it_has() -> None:
    for expression in expressions():
        names = named(expression)
        assert names <= NAMES.keys() | BUCKETS, expression
        labels = {
            label
            for name in names
            for label in (*NAMES.get(name.removesuffix("_bucket"), ()), "le")
        }
        used = re.findall(r"(\w+)=~?\"", expression)
        used += re.findall(r"\w+", " ".join(re.findall(r"by \(([^)]*)\)", expression)))
        assert set(used) <= labels, expression


def test_the_dashboard_shows_every_metric() -> None:
    shown = set().union(*map(named, expressions()))

    assert {name.removesuffix("_bucket") for name in shown} == NAMES.keys()


def test_the_dashboard_is_one_that_grafana_takes() -> None:
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])
        }
        assert not cells & taken, f"{panel['title']} lies on another"
        assert max(x for x, _ in cells) < 24
        taken |= cells
    assert {one["name"] for one in DASHBOARD["templating"]["list"]} == {"datasource", "endpoint"}


def test_every_metric_and_every_alert_is_documented_and_no_other() -> None:
    documented = dict(re.findall(r"^\| `(spillway_\w+)(?:\{([\w, ]*)\})?` \|", DOCS, re.MULTILINE))
    assert {
        name: tuple(filter(None, labels.split(", "))) for name, labels in documented.items()
    } == NAMES
    alerts = re.findall(r"^ +- alert: (\w+)$", RULES.read_text(), re.MULTILINE)
    assert re.findall(r"^\| `(Spillway\w+)` \|", DOCS, re.MULTILINE) == alerts


@pytest.mark.parametrize(
    "words",
    [
        ["check", "rules", "--lint-fatal", "spillway.rules.yml"],
        ["test", "rules", "spillway.rules.test.yml"],
        ["check", "config", "--syntax-only", "prometheus.yml"],
    ],
    ids=" ".join,
)
def test_alerts_are_right_by_prometheus_own_tool(words: list[str]) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("needs the program promtool")

    done = subprocess.run(
        [promtool, *words], cwd=RULES.parent, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
