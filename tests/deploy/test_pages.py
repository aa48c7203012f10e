"""Pages for people on duty: the metrics, log lines and settings that they name exist."""

from __future__ import annotations

import re
from itertools import chain
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from streams import metrics
from streams.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
PAGES = {path.relative_to(ROOT).as_posix(): path.read_text() for path in ROOT.glob("docs/**/*.md")}
PAGES["README.md"] = (ROOT / "README.md").read_text()
SOURCES = "\n".join(
    path.read_text()
    for path in chain(*(ROOT.glob(f"{top}/**/*.py") for top in ("streams", "agents", "sinks")))
)
METRIC = re.compile(r"`([a-z]+(?:_[a-z]+)+)(?:\{([^`}]*)\})?`")
KINDS = ("total", "seconds", "bytes", "records", "bubbles", "messages", "events", "ready")
ENDINGS = (*(f"_{kind}" for kind in KINDS), "s_parked", "_stopped", "_in_a_row")
LABELS = {
    name: set(getattr(collector, "_labelnames", ()))
    for collector, names in REGISTRY._collector_to_names.items()
    for name in names
}
LINES = "worker|event|offsets|resting|audit|sink|watchdog"


@pytest.mark.parametrize("page", sorted(PAGES))
def test_a_page_names_only_metrics_and_labels_that_exist(page: str) -> None:
    assert metrics.exposition()  # they are registered by their module
    named = [
        (name, set(re.findall(r"\w+(?==|$|,)", labels)))
        for name, labels in METRIC.findall(PAGES[page])
        if name.endswith(ENDINGS) or labels
    ]

    assert [(name, labels) for name, labels in named if not labels <= LABELS.get(name, set())] == []
    assert [name for name, _ in named if name not in LABELS] == []


@pytest.mark.parametrize("page", sorted(PAGES))
def test_a_page_names_only_log_lines_that_are_written(page: str) -> None:
    named = set(re.findall(rf"`((?:{LINES})\.[a-z_]+)`", PAGES[page]))

    assert {name for name in named if f'"{name}"' not in SOURCES} == set()


@pytest.mark.parametrize("page", sorted(PAGES))
def test_a_page_names_only_settings_that_exist(page: str) -> None:
    named = set(re.findall(r"`([A-Z]+(?:_[A-Z]+)+)(?:=[^`]*)?`", PAGES[page]))

    assert {name for name in named if name.lower() not in Settings.model_fields} == set()


def anchors(text: str) -> set[str]:
    """Return what a link into a page may end with, as GitHub makes it of a heading."""
    heads = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", sorted(PAGES))
def test_the_links_of_a_page_lead_somewhere(page: str) -> None:
    for target, anchor in re.findall(r"\]\((?!\w+:)([^)#\s]*)(?:#([^)\s]*))?\)", PAGES[page]):
        place = (ROOT / page).parent / target if target else ROOT / page
        assert place.exists(), target
        assert not anchor or anchor in anchors(place.read_text()), f"{target}#{anchor}"
