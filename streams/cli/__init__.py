"""``whaticket``: the command line. Each module of this package registers its commands."""

from __future__ import annotations

import logging
import sys
from importlib import import_module
from typing import Final

import typer

from schemas.errors import Misconfigured, PipelineError, Unavailable
from streams.cli.advice import advice

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
    "forget",
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
        rich_markup_mode="markdown",  # else help is wrapped where its source was
    )
    for module in MODULES:
        import_module(f"streams.cli.{module}").register(app)
    return app


def main() -> None:
    """Run the command line; our own errors are one message for a person, without a traceback.

    So are files that cannot be used. What libraries log is for services, which configure a log;
    what our own code warns of is no part of what a command prints.
    """
    from streams.logs import apart

    logging.basicConfig(handlers=[logging.NullHandler()])
    apart()
    try:
        build()()
    except Misconfigured as exc:
        sys.stderr.write(f"whaticket: {exc}\n")
        sys.exit(EXIT_MISCONFIGURED)
    except Unavailable as exc:
        sys.stderr.write(f"whaticket: {exc}{advice(exc)}\n")
        sys.exit(1)
    except PipelineError as exc:
        sys.stderr.write(f"whaticket: {exc}\n")
        sys.exit(1)
    except OSError as exc:
        if exc.filename is None:
            raise
        sys.stderr.write(f"whaticket: {exc.filename} cannot be used: {exc.strerror}\n")
        sys.exit(EXIT_MISCONFIGURED)
