"""The demo's shop: its settings, its knowledge, its products and orders, as shipped. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final

import orjson

from sinks.catalogue import Order, Product

TENANT: Final = "demo"
APP: Final = "simulator"
NUMBER: Final = "100000000000001"
"""The demo's business number; invented."""


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


def knowledge() -> list[tuple[str, str]]:
    """Return the documents of the knowledge base: name and text."""
    found = sorted(_folder().joinpath("knowledge").iterdir(), key=lambda path: str(path.name))
    return [(str(path.name), path.read_text("utf-8")) for path in found]
