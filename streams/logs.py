"""Logging: one JSON object a line, without text, names, numbers or secrets (promise I7)."""

from __future__ import annotations

import logging
import re
import sys
import traceback
from collections.abc import MutableMapping
from contextvars import ContextVar
from typing import Any, Final

import structlog

FORBIDDEN: Final = frozenset(
    {"text", "body", "payload", "name", "phone", "wa_id", "recipient", "sender", "token", "secret"}
)
"""Fields that are never written, whoever logs them."""

QUIET: Final = (
    "faust",
    "mode",
    "aiokafka",
    "kafka",
    "librdkafka",
    "httpx",
    "httpx2",
    "httpcore",
    "httpcore2",
    "openai",
    "asyncio",
)
"""Libraries whose lower levels quote requests, records or addresses."""

QUOTING: Final = re.compile(r"[\n(<]")
"""Where asyncio begins to quote."""

_RECORD: ContextVar[Any] = ContextVar("record", default=None)

FAUST_LOG: Final = logging.getLogger("faust")
"""What our subclasses of Faust's services say; else it would go by the name of our modules."""


def configure(level: str, *, service: str, instance: str = "0") -> None:
    """Send every log line of this process to stderr.

    Args:
        level: ``debug``, ``info``, ``warning`` or ``error``.
        service: Name of the process, such as ``worker``.
        instance: Which one of its like.
    """
    number = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        _placed,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _redact,
    ]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _exception_place,
                structlog.processors.JSONRenderer(ensure_ascii=False),
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=number, force=True)
    handler.addFilter(_worth)
    handler.addFilter(_brief)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    structlog.contextvars.bind_contextvars(service=service, instance=instance)


def apart() -> None:
    """Send what our own code logs in a command to stderr: what it prints is read by programs."""
    structlog.configure(
        processors=[
            structlog.stdlib.add_log_level,
            _redact,
            _exception_place,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )


def about(record: Any) -> None:
    """Let every line of this task say where the record stands that it is about."""
    _RECORD.set(record)


def _placed(_: Any, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Name the record; only here, since most records are never written of."""
    if (record := _RECORD.get()) is not None:
        for field in ("topic", "partition", "offset"):
            line.setdefault(field, getattr(record, field))
    return line


def _worth(record: logging.LogRecord) -> bool:
    """Drop the small talk of libraries; Faust's loggers set their own level, so a filter it is."""
    return record.levelno >= logging.WARNING or record.name.split(".", 1)[0] not in QUIET


def _brief(record: logging.LogRecord) -> bool:
    """Cut what asyncio says before it quotes: an error, or what a callback was given."""
    if record.name == "asyncio":
        record.msg, record.args = QUOTING.split(record.getMessage(), maxsplit=1)[0].strip(), ()
    return True


def place(exc: BaseException) -> str:
    """Return an exception's type and where it was raised; its message may quote a customer."""
    frames = traceback.extract_tb(exc.__traceback__)
    where = f"{frames[-1].filename.rsplit('/', 1)[-1]}:{frames[-1].lineno}" if frames else "?"
    return f"{type(exc).__name__} at {where}"


def _redact(_: Any, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for field in FORBIDDEN & line.keys():
        line[field] = "[redacted]"
    return line


def _exception_place(_: Any, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace a traceback, whose message may quote a record, by its type and places."""
    raised = line.pop("exc_info", None)
    line.pop("stack_info", None)
    exc = sys.exc_info()[1] if raised is True else raised
    if isinstance(exc, tuple):
        exc = exc[1]
    if isinstance(exc, BaseException):
        line["error"] = place(exc)
        line["frames"] = [
            f"{frame.filename.rsplit('/', 1)[-1]}:{frame.lineno} {frame.name}"
            for frame in traceback.extract_tb(exc.__traceback__)
        ]
    return line
