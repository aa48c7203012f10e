"""``whaticket``: the command line. Each module of this package registers its commands."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Final

import typer

from schemas.errors import Misconfigured, PipelineError

MODULES: Final = (
    "stack",
    "prepare",
    "demo",
    "worker",
    "webhook",
    "api",
    "topics",
    "tenants",
    "processes",
    "knowledge",
    "people",
    "trace",
    "dlq",
    "replay",
    "load",
    "chaos",
    "bench",
    "model",
    "simulator",
)
"""Modules of this package; each has ``register(app)``. The order is that of the help."""

EXIT_MISCONFIGURED: Final = 2


def build() -> typer.Typer:
    """Return the command line with every command registered; opens nothing."""
    app = typer.Typer(
        name="whaticket",
        help="Customer service on WhatsApp, people and AI side by side, on a log.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    for module in MODULES:
        import_module(f"streams.cli.{module}").register(app)
    return app


def main() -> None:
    """Run the command line; our own errors are one message for a person, without a traceback."""
    try:
        build()()
    except Misconfigured as exc:
        sys.stderr.write(f"whaticket: {exc}\n")
        sys.exit(EXIT_MISCONFIGURED)
    except PipelineError as exc:
        sys.stderr.write(f"whaticket: {exc}\n")
        sys.exit(1)
