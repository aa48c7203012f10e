from __future__ import annotations

from typing import Any

import pytest

from schemas.evolution import incompatibilities, unreadable


def record(*fields: dict[str, Any], name: str = "Order") -> dict[str, Any]:
    return {"type": "record", "name": name, "namespace": "shop", "fields": list(fields)}


def enum(*symbols: str, **rest: Any) -> dict[str, Any]:
    return {"type": "enum", "name": "Size", "namespace": "shop", "symbols": list(symbols), **rest}


ID = {"name": "order_id", "type": "string"}
NOTE = {"name": "note", "type": ["null", "string"], "default": None}
BASE = record(ID, NOTE)


@pytest.mark.parametrize(
    "newer",
    [
        # nothing changed
        record(ID, NOTE),
        # another order: fields are found by name
        record(NOTE, ID),
        # a field with a default came
        record(ID, NOTE, {"name": "gift", "type": "boolean", "default": False}),
        # a field with a default went
        record(ID),
        # docs are not part of the contract
        record({**ID, "doc": "Which."}, NOTE),
    ],
)
def test_a_change_that_every_version_can_read_is_allowed(newer: dict[str, Any]) -> None:
    assert incompatibilities(BASE, newer) == ()


@pytest.mark.parametrize(
    ("older", "newer", "why"),
    [
        # removed field without default
        (
            BASE,
            record(NOTE),
            ("old readers: Order.order_id: not in every version, and it has no default",),
        ),
        # added field without default
        (
            BASE,
            record(ID, NOTE, {"name": "sum", "type": "long"}),
            ("new readers: Order.sum: not in every version, and it has no default",),
        ),
        # renamed field: one went, one came
        (
            record(ID),
            record({"name": "number", "type": "string"}),
            (
                "new readers: Order.number: not in every version, and it has no default",
                "old readers: Order.order_id: not in every version, and it has no default",
            ),
        ),
        # type change
        (
            record(ID),
            record({"name": "order_id", "type": "long"}),
            (
                "new readers: Order.order_id: string cannot be read as long",
                "old readers: Order.order_id: long cannot be read as string",
            ),
        ),
        # a promotion reads one way only
        (
            record({"name": "sum", "type": "int"}),
            record({"name": "sum", "type": "long"}),
            ("old readers: Order.sum: long cannot be read as int",),
        ),
        # a field may be null from now on
        (
            record(ID),
            record({"name": "order_id", "type": ["null", "string"]}),
            ("old readers: Order.order_id: null cannot be read as string",),
        ),
        # a union loses a branch
        (
            record({"name": "sum", "type": ["null", "string", "long"]}),
            record({"name": "sum", "type": ["null", "string"]}),
            ("new readers: Order.sum: no branch of the union takes long",),
        ),
        # items of an array change
        (
            record({"name": "tags", "type": {"type": "array", "items": "string"}}),
            record({"name": "tags", "type": {"type": "array", "items": "boolean"}}),
            (
                "new readers: Order.tags[]: string cannot be read as boolean",
                "old readers: Order.tags[]: boolean cannot be read as string",
            ),
        ),
        # values of a map change
        (
            record({"name": "tags", "type": {"type": "map", "values": "int"}}),
            record({"name": "tags", "type": {"type": "map", "values": "long"}}),
            ("old readers: Order.tags{}: long cannot be read as int",),
        ),
        # an enum without default, whatever its symbols
        (
            record({"name": "size", "type": enum("S", default="S")}),
            record({"name": "size", "type": enum("S", "M")}),
            ("new readers: Order.size: Size has no default to read an unknown symbol as",),
        ),
        # a number that means another thing
        (
            record({"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}}),
            record({"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}}),
            (
                "new readers: Order.at: the logical type changes what the number means",
                "old readers: Order.at: the logical type changes what the number means",
            ),
        ),
        # another record
        (
            BASE,
            record(ID, NOTE, name="Invoice"),
            (
                "new readers: Order: Order cannot be read as Invoice",
                "old readers: Invoice: Invoice cannot be read as Order",
            ),
        ),
    ],
)
def test_a_change_that_some_version_cannot_read_is_refused(
    older: dict[str, Any], newer: dict[str, Any], why: tuple[str, ...]
) -> None:
    assert incompatibilities(older, newer) == why


def test_a_bad_change_is_found_inside_a_nested_record_behind_a_name() -> None:
    line = record({"name": "sku", "type": "string"}, name="Line")
    older = record({"name": "first", "type": line}, {"name": "rest", "type": ["null", "shop.Line"]})
    worse = record({"name": "sku", "type": "bytes"}, {"name": "ean", "type": "string"}, name="Line")
    newer = record(
        {"name": "first", "type": worse}, {"name": "rest", "type": ["null", "shop.Line"]}
    )

    assert unreadable(older, newer) == (
        "Order.first.ean: not in every version, and it has no default",
        "Order.rest.ean: not in every version, and it has no default",
    )


def test_an_enum_may_gain_and_lose_symbols_when_each_version_has_a_default() -> None:
    older = record({"name": "size", "type": enum("unknown", "S", default="unknown")})
    newer = record({"name": "size", "type": enum("unknown", "M", default="unknown")})

    assert incompatibilities(older, newer) == ()
