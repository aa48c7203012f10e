"""The toolbox: the tools by name, each one checked when it is put in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Protocol

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError

from agents.ports import Tool
from agents.toolbox.orders import Orders, order_status
from agents.toolbox.products import Products, search_catalogue
from agents.toolbox.requests import Requests, open_ticket, transfer_to_person
from schemas.errors import Misconfigured

Toolbox = Mapping[str, Tool]

_NAME = re.compile(r"^[a-z][a-z0-9_]{0,63}$")


class Shop(Products, Orders, Requests, Protocol):
    """All that the shipped tools need; ``sinks.catalogue.Catalogue`` is one."""


def box(*tools: Tool) -> Toolbox:
    """Return a toolbox.

    Raises:
        Misconfigured: A name is taken or malformed, a schema is wrong, or a tool has no user.
    """
    held: dict[str, Tool] = {}
    for tool in tools:
        if not _NAME.match(tool.name):
            raise Misconfigured(f"a tool's name is lower case with underscores, not {tool.name!r}")
        if tool.name in held:
            raise Misconfigured(f"two tools are called {tool.name}")
        if not tool.agents:
            raise Misconfigured(f"no agent may use the tool {tool.name}")
        _check_schema(tool)
        held[tool.name] = tool
    return held


def shipped(shop: Shop) -> Toolbox:
    """Return the tools that ship, over one shop's tables."""
    return box(
        search_catalogue(shop), order_status(shop), open_ticket(shop), transfer_to_person(shop)
    )


def _check_schema(tool: Tool) -> None:
    try:
        Draft202012Validator.check_schema(dict(tool.parameters))
    except SchemaError as exc:
        raise Misconfigured(f"the schema of the tool {tool.name} is wrong: {exc.message}") from exc
    if tool.parameters.get("additionalProperties") is not False:
        raise Misconfigured(f"the tool {tool.name} must refuse arguments that it does not know")
