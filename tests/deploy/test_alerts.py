"""deploy/prometheus: alerts speak of metrics that exist, and say what to do."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import promql_parser as promql
import pytest
import yaml
from prometheus_client import REGISTRY

from agents.core.gate_window import TEMPLATE_UNSENT, WINDOW_CLOSING
from schemas.topics import STATEFUL_STAGES
from streams import metrics
from streams.processor.parker import BEHIND
from streams.server.http import health_router

ROOT = Path(__file__).resolve().parents[2]
RULES: dict[str, Any] = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text())
SCRAPES: dict[str, Any] = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
ALERTS: dict[str, dict[str, Any]] = {
    rule["alert"]: rule for group in RULES["groups"] for rule in group["rules"]
}
PAGE = (ROOT / "docs/how-to/alerts.md").read_text()
SCRAPED = {"job", "instance"}
"""Labels that Prometheus adds."""
STANDARD = {"up": SCRAPED, "process_start_time_seconds": SCRAPED}
"""What Prometheus itself, and its client for Python, tell of each process."""


def known() -> dict[str, set[str]]:
    """Return the labels of every series that our processes tell."""
    assert metrics.exposition()  # they are registered by their module
    found = dict(STANDARD)
    for collector in list(REGISTRY._collector_to_names):
        labels = {*getattr(collector, "_labelnames", ()), *SCRAPED}
        more = {"le"} if getattr(collector, "_type", "") == "histogram" else set()
        for name in REGISTRY._collector_to_names[collector]:
            found.setdefault(name, labels | more)
    return found


def selectors(node: Any) -> list[promql.VectorSelector]:
    """Return the series that an expression asks for."""
    found: list[promql.VectorSelector] = []

    def visit(each: Any) -> None:
        if isinstance(each, promql.VectorSelector):
            found.append(each)
        for name in ("lhs", "rhs", "expr", "vector_selector", "args"):
            below = getattr(each, name, None)
            for one in below if isinstance(below, list) else [below]:
                if one is not None:
                    visit(one)

    visit(node)
    return found


@pytest.mark.parametrize("name", sorted(ALERTS))
def test_an_alert_asks_for_series_and_labels_that_exist(name: str) -> None:
    asked = selectors(promql.parse(ALERTS[name]["expr"]))
    series = known()

    assert asked
    for each in asked:
        assert each.name in series
        labels = {matcher.name for matcher in each.matchers.matchers}
        assert labels <= series[each.name]


@pytest.mark.parametrize("name", sorted(ALERTS))
def test_an_alert_speaks_of_labels_that_its_expression_keeps(name: str) -> None:
    rule = ALERTS[name]
    spoken = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
    kept = set(re.findall(r"\w+", " ".join(re.findall(r"by \(([^)]*)\)", rule["expr"]))))
    tested = set(re.findall(r"(\w+)=\"", rule["expr"]))

    assert spoken <= kept | tested | SCRAPED


@pytest.mark.parametrize("name", sorted(ALERTS))
def test_an_alert_says_who_must_come_and_what_to_do(name: str) -> None:
    rule = ALERTS[name]

    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert rule["annotations"]["runbook"] == f"docs/how-to/alerts.md#{name.lower()}"
    assert f"\n### {name}\n" in PAGE


@pytest.mark.parametrize("name", sorted(ALERTS))
def test_an_alert_sees_a_counter_that_has_grown_before_it_is_first_scraped(name: str) -> None:
    expression = " ".join(ALERTS[name]["expr"].split())
    grown = re.findall(r"increase\((\w+)(?:{[^}]*})?\[(\w+)\]\)+ > 0", expression)

    for counter, span in grown:
        if known()[counter] - SCRAPED:  # it has labels, so it begins with its first event
            assert f"unless {counter} offset {span}" in expression


def test_a_partition_is_not_behind_because_it_always_has_work() -> None:
    """The lag of a busy partition is never 0: its turns wait for a model."""
    (behind,) = selectors(promql.parse(ALERTS["PartitionBehind"]["expr"]))

    assert behind.name == "consumer_behind_seconds"


def test_a_circuit_that_nobody_has_tried_lately_rings_for_nobody() -> None:
    """It stays open until the next call; each call that fails opens it once more."""
    asked = {each.name: each for each in selectors(promql.parse(ALERTS["CircuitOpen"]["expr"]))}
    expression = " ".join(ALERTS["CircuitOpen"]["expr"].split())

    assert set(asked) == {"circuit_breaker_state", "circuit_breaker_failures_total"}
    assert "circuit_breaker_state > 0 and (increase(circuit_breaker_failures_total[15m])" in (
        expression
    )


def test_a_number_that_is_stopped_is_not_taken_for_one_that_is_full() -> None:
    """Its bubbles wait in the same queue, for a token that no higher limit brings."""
    asked = {each.name for each in selectors(promql.parse(ALERTS["NumberFull"]["expr"]))}

    assert asked == {"number_waiting_bubbles", "channels_stopped"}


def test_the_reasons_that_alerts_name_are_those_that_are_counted() -> None:
    asked = " ".join(rule["expr"] for rule in ALERTS.values())
    named = set(re.findall(r'reason(?:!=|=~)"([^"]*)"', asked))

    assert named == {BEHIND, f"{WINDOW_CLOSING}|window_closed|{TEMPLATE_UNSENT}"}


def test_the_page_has_no_alert_that_is_none() -> None:
    assert set(re.findall(r"^### (\w+)$", PAGE, re.MULTILINE)) == set(ALERTS)


def test_every_stage_and_sink_is_missed_when_nobody_runs_it() -> None:
    missed = re.findall(r'stage="(\w+)"', ALERTS["StageUnserved"]["expr"])

    assert missed == [*STATEFUL_STAGES, "memory", "transcripts"]


def test_every_http_service_is_missed_when_nobody_runs_it() -> None:
    """A container that ends is found no more, so its `up` is not 0 but gone."""
    (job,) = (each for each in SCRAPES["scrape_configs"] if each["job_name"] == "whaticket-http")
    services = [name for config in job["dns_sd_configs"] for name in config["names"]]
    expression = ALERTS["ServiceUnserved"]["expr"]

    assert re.findall(r'absent\(http_service_info\{service="(\w+)"\}\)', expression) == services


def test_a_process_tells_which_http_service_it_is() -> None:
    for service in ("webhook", "api"):
        health_router(service)

        assert REGISTRY.get_sample_value("http_service_info", {"service": service}) == 1


def test_every_service_of_ours_is_scraped_where_it_listens() -> None:
    found = {
        (job["job_name"], name, config["port"])
        for job in SCRAPES["scrape_configs"]
        for config in job["dns_sd_configs"]
        for name in config["names"]
    }
    workers = {
        ("whaticket-workers", name, 8002)
        for name, service in COMPOSE["services"].items()
        if service.get("command", [""])[0] == "worker"
    }

    assert found == {*workers, ("whaticket-http", "webhook", 8000), ("whaticket-http", "api", 8001)}
