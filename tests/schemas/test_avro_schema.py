from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, get_args

import pytest
from msgspec import Struct
from msgspec.structs import fields

from schemas.avro_schema import attribute_docs, plain, schema_of, spelled
from schemas.events import BubbleState, Event, Phase


class Size(StrEnum):
    """How large."""

    UNKNOWN = "unknown"
    SMALL = "small"


class Nameless(StrEnum):
    """An enum that a newer symbol cannot be read into."""

    ONLY = "only"


class Line(Struct, frozen=True, kw_only=True):
    """One line of an order.

    Attributes:
        sku: What is bought.
    """

    sku: str


class Base(Struct, frozen=True, kw_only=True):
    """What every order has.

    Attributes:
        order_id: Which order,
            in two lines.
    """

    order_id: str


class Order(Base, frozen=True, kw_only=True):
    """An order of
    a customer.

    It has more to say here.

    Attributes:
        at: When, in ``ms``.
        size: How large.
    """

    at: Annotated[int, "timestamp-millis"]
    size: Size
    other_size: Size | None = None
    first: Line
    rest: tuple[Line, ...]
    paid: bool = False
    weight: float = 1.5
    seal: bytes | None = None
    language: str | None = "pt-BR"
    words: tuple[str, ...] = ("a", "b")


ORDER = {
    "type": "record",
    "name": "Order",
    "namespace": "whaticket.events",
    "doc": "An order of a customer.",
    "fields": [
        {"name": "order_id", "type": "string", "doc": "Which order, in two lines."},
        {
            "name": "at",
            "type": {"type": "long", "logicalType": "timestamp-millis"},
            "doc": "When, in `ms`.",
        },
        {
            "name": "size",
            "type": {
                "type": "enum",
                "name": "Size",
                "namespace": "whaticket.events",
                "doc": "How large.",
                "symbols": ["unknown", "small"],
                "default": "unknown",
            },
            "doc": "How large.",
        },
        {"name": "other_size", "type": ["null", "whaticket.events.Size"], "default": None},
        {
            "name": "first",
            "type": {
                "type": "record",
                "name": "Line",
                "namespace": "whaticket.events",
                "doc": "One line of an order.",
                "fields": [{"name": "sku", "type": "string", "doc": "What is bought."}],
            },
        },
        {
            "name": "rest",
            "type": {"type": "array", "items": "whaticket.events.Line"},
            "default": [],
        },
        {"name": "paid", "type": "boolean", "default": False},
        {"name": "weight", "type": "double", "default": 1.5},
        {"name": "seal", "type": ["null", "bytes"], "default": None},
        {"name": "language", "type": ["string", "null"], "default": "pt-BR"},
        {"name": "words", "type": {"type": "array", "items": "string"}, "default": ["a", "b"]},
    ],
}


def test_a_record_says_its_whole_schema() -> None:
    assert schema_of(Order) == ORDER


def test_the_plain_schema_has_neither_docs_nor_logical_types() -> None:
    schema = plain(schema_of(Order))

    assert schema["fields"][1] == {"name": "at", "type": "long"}
    assert "'doc'" not in str(schema)
    assert "logicalType" not in str(schema)


@pytest.mark.parametrize(
    "shorter",
    [
        # as Java prints it: no namespace where the one around is the same
        {
            "type": "record",
            "name": "Line",
            "namespace": "shop",
            "fields": [
                {"name": "size", "type": {"type": "enum", "name": "Size", "symbols": ["s"]}},
                {"name": "other", "type": ["null", "Size"], "default": None},
                {"name": "rest", "type": {"type": "array", "items": "Size"}},
                {"name": "map", "type": {"type": "map", "values": "int"}},
            ],
        },
        # the namespace as part of the name
        {
            "type": "record",
            "name": "shop.Line",
            "fields": [
                {"name": "size", "type": {"type": "enum", "name": "shop.Size", "symbols": ["s"]}},
                {"name": "other", "type": ["null", "Size"], "default": None},
                {"name": "rest", "type": {"type": "array", "items": "shop.Size"}},
                {"name": "map", "type": {"type": "map", "values": "int"}},
            ],
        },
    ],
)
def test_two_spellings_of_one_schema_are_equal(shorter: dict[str, Any]) -> None:
    assert spelled(shorter) == {
        "type": "record",
        "name": "shop.Line",
        "fields": [
            {"name": "size", "type": {"type": "enum", "name": "shop.Size", "symbols": ["s"]}},
            {"name": "other", "type": ["null", "shop.Size"], "default": None},
            {"name": "rest", "type": {"type": "array", "items": "shop.Size"}},
            {"name": "map", "type": {"type": "map", "values": "int"}},
        ],
    }


def test_a_type_that_avro_has_no_type_for_is_refused_by_field() -> None:
    class Odd(Struct):
        """A record with a field that cannot be said."""

        when: complex

    with pytest.raises(TypeError, match="field when: no Avro type stands for"):
        schema_of(Odd)


def test_an_enum_without_a_member_for_the_unknown_is_refused() -> None:
    class Odd(Struct):
        """A record that a newer symbol would break."""

        only: Nameless

    with pytest.raises(TypeError, match="field only: Nameless has no UNKNOWN member"):
        schema_of(Odd)


@pytest.mark.parametrize(
    ("enum", "default"),
    [
        (Phase, "unknown"),
        # `unknown` is a state of a bubble: what we do not know is another symbol
        (BubbleState, "unknown_symbol"),
    ],
)
def test_a_newer_symbol_reads_as_the_member_for_the_unknown(
    enum: type[StrEnum], default: str
) -> None:
    found = {schema["name"]: schema for record in get_args(Event) for schema in _enums(record)}

    assert found[enum.__name__]["default"] == default


@pytest.mark.parametrize("record", get_args(Event), ids=lambda record: record.__name__)
def test_every_field_of_every_record_has_a_doc(record: type[Event]) -> None:
    assert set(attribute_docs(record)) == {field.name for field in fields(record)}


def _enums(record: type) -> list[Any]:
    types = [field["type"] for field in schema_of(record)["fields"]]
    return [found for found in types if isinstance(found, dict) and found["type"] == "enum"]
