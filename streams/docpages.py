"""Reference pages that are rendered from code: conversation phases, settings, metrics."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Final

from prometheus_client import Counter, Gauge, Histogram
from pydantic.fields import FieldInfo

from agents.core.conversation import diagram
from streams import metrics
from streams.settings import Settings

NOTE: Final = "<!-- Rendered by `whaticket docs`; change the code instead. -->"


def conversation_page() -> str:
    """Return the page of a conversation's phases."""
    return "\n".join(
        (
            "# How a conversation moves",
            "",
            NOTE,
            "",
            "The phases are those of `conversation.state.changed`.",
            "The arrows are the table in `agents/core/conversation.py`.",
            "",
            "```mermaid",
            diagram().strip(),
            "```",
            "",
        )
    )


def settings_page() -> str:
    """Return the page of the settings; secrets show no default."""
    docs = _attributes(Settings)
    rows = [
        f"| `{name.upper()}` | {_default(field)} | {docs.get(name, '')} |"
        for name, field in Settings.model_fields.items()
    ]
    return "\n".join(
        (
            "# Settings",
            "",
            NOTE,
            "",
            "Read from the environment, or from `stack.env` in the folder of the embedded stack.",
            "",
            "| variable | default | what it is |",
            "|---|---|---|",
            *rows,
            "",
        )
    )


def metrics_page() -> str:
    """Return the page of the metrics."""
    return "\n".join(
        (
            "# Metrics",
            "",
            NOTE,
            "",
            "Every process serves them on `/metrics`.",
            "Labels never hold a conversation or a number.",
            "",
            "| metric | type | labels | what it counts |",
            "|---|---|---|---|",
            *_metric_rows(),
            "",
        )
    )


def _metric_rows() -> Iterator[str]:
    for metric in vars(metrics).values():
        if isinstance(metric, Counter | Gauge | Histogram):
            described = next(iter(metric.describe()))
            suffix = "_total" if isinstance(metric, Counter) else ""
            labels = ", ".join(metric._labelnames)  # noqa: SLF001 - the client has no public way
            yield (
                f"| `{described.name}{suffix}` | {described.type} | {labels}"
                f" | {described.documentation} |"
            )


def _default(field: FieldInfo) -> str:
    if field.default_factory is not None:  # it says what it is in words
        return ""
    value = field.default
    if hasattr(value, "get_secret_value"):
        return "secret"
    return "" if value in ("", None) else f"`{value}`"


def _attributes(record: type) -> dict[str, str]:
    """Return what the ``Attributes:`` section of a docstring says of each name."""
    section = inspect.getdoc(record).partition("Attributes:\n")[2]  # type: ignore[union-attr]  # it has one
    found = re.findall(r"^ {4}(\w+): (.+(?:\n {8}.+)*)", section, re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in found}
