"""The demo's shop: its settings, its knowledge, its products and orders, as shipped. Pure."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final

import orjson

from sinks.catalogue import Order, Product

TENANT: Final = "demo"
APP: Final = "simulator"
NUMBER: Final = "100000000000001"
"""The demo's business number; invented."""


@dataclass(frozen=True, slots=True)
class Text:
    """One document of the knowledge base.

    Attributes:
        source: Name of the document.
        passages: Its passages, in order.
    """

    source: str
    passages: tuple[str, ...]


@cache
def _shop() -> Mapping[str, Any]:
    shop: Mapping[str, Any] = orjson.loads(_folder().joinpath("shop.json").read_bytes())
    return shop


def _folder() -> Any:
    return files("streams.local.demo")


def settings() -> dict[str, Any]:
    """Return the tenant's settings."""
    return dict(_shop()["tenant"])


def products() -> list[Product]:
    """Return what the shop sells."""
    return [Product(**row) for row in _shop()["products"]]


def orders(today: dt.date) -> list[Order]:
    """Return orders that are no customer's yet; whoever knows the number may ask.

    Args:
        today: Day from which they are due.
    """
    return [
        Order(
            order_number=row["order_number"],
            status=row["status"],
            eta=today + dt.timedelta(days=row["days"]),
        )
        for row in _shop()["orders"]
    ]


def knowledge() -> list[Text]:
    """Return the documents, each cut at its headings: a heading and its text are one passage."""
    folder = _folder().joinpath("knowledge")
    found = sorted(folder.iterdir(), key=lambda path: str(path.name))
    return [Text(path.name, _passages(path.read_text("utf-8"))) for path in found]


def _passages(text: str) -> tuple[str, ...]:
    blocks = [block.strip() for block in re.split(r"\n\s*\n", text) if block.strip()]
    headings, bodies = blocks[::2], blocks[1::2]
    return tuple(f"{head}: {body}" for head, body in zip(headings, bodies, strict=True))
