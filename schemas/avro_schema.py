"""A record's Avro schema, drawn from its class: what is written once is said everywhere."""

from __future__ import annotations

import inspect
import re
import types
from enum import StrEnum
from functools import cache
from typing import Annotated, Any, Final, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import NODEFAULT, Struct
from msgspec.structs import FieldInfo, fields

NAMESPACE: Final = "whaticket.events"
"""Avro namespace of every record and enum; never changes."""

PRIMITIVES: Final[dict[type, str]] = {
    str: "string",
    bool: "boolean",
    int: "long",
    float: "double",
    bytes: "bytes",
}

_ATTRIBUTE: Final = re.compile(r"^(\w+): (.*)$")

Schema = Any
"""An Avro schema as plain data: a name, a list (union) or a dict."""


def schema_of(record: type) -> dict[str, Any]:
    """Return the Avro schema of a record's class; do not change what is returned.

    Raises:
        TypeError: A field has a type that no Avro type stands for; names the field.
    """
    return _drawn(record)


@cache
def _drawn(record: type) -> dict[str, Any]:
    return _record(record, set())


def plain(schema: Schema) -> Schema:
    """Return a schema without docs and logical types: the same bytes, timestamps as integers."""
    if isinstance(schema, list):
        return [plain(branch) for branch in schema]
    if not isinstance(schema, dict):
        return schema
    if set(schema) - {"doc", "logicalType"} == {"type"} and isinstance(schema["type"], str):
        return schema["type"]
    shed = {name: value for name, value in schema.items() if name not in ("doc", "logicalType")}
    if "fields" in shed:
        shed["fields"] = [_plain_field(field) for field in shed["fields"]]
    if "items" in shed:
        shed["items"] = plain(shed["items"])
    if "values" in shed:
        shed["values"] = plain(shed["values"])
    return shed


def _plain_field(field: dict[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in field.items() if name != "doc"}
    return {**kept, "type": plain(field["type"])}


def spelled(schema: Schema, namespace: str = "") -> Schema:
    """Return a schema with every name in full: two spellings of one schema become equal.

    A registry may write names shorter than we do, where the namespace around them is the same.
    """
    if isinstance(schema, list):
        return [spelled(branch, namespace) for branch in schema]
    if isinstance(schema, str):
        return _full(schema, namespace)
    namespace = schema.get("namespace", namespace)
    out = {name: value for name, value in schema.items() if name != "namespace"}
    if "name" in out:
        out["name"] = _full(out["name"], namespace)
        namespace = out["name"].rpartition(".")[0]
    for part in ("type", "items", "values"):
        if part in out and out[part] not in ("record", "enum", "array", "map", "fixed"):
            out[part] = spelled(out[part], namespace)
    if "fields" in out:
        out["fields"] = [
            {**field, "type": spelled(field["type"], namespace)} for field in out["fields"]
        ]
    return out


def _full(name: str, namespace: str) -> str:
    if "." in name or not namespace or name in (*PRIMITIVES.values(), "null", "int", "float"):
        return name
    return f"{namespace}.{name}"


def summary(described: type) -> str:
    """Return the first paragraph of a class's docstring as one line."""
    text = inspect.cleandoc(described.__doc__ or "").split("\n\n")[0]
    return _one_line(text)


def attribute_docs(record: type) -> dict[str, str]:
    """Return the ``Attributes:`` of a record and of those that it extends, by field."""
    docs: dict[str, str] = {}
    for described in reversed(record.__mro__):
        docs |= _attributes(described.__dict__.get("__doc__") or "")
    return docs


def _attributes(docstring: str) -> dict[str, str]:
    _, _, section = inspect.cleandoc(docstring).partition("Attributes:\n")
    docs: dict[str, str] = {}
    name = ""
    for line in inspect.cleandoc(section).splitlines():
        if found := _ATTRIBUTE.match(line):
            name = found[1]
            docs[name] = _one_line(found[2])
        elif name and line.strip():
            docs[name] = _one_line(f"{docs[name]} {line}")
    return docs


def _one_line(text: str) -> str:
    return " ".join(text.split()).replace("``", "`")


def _record(record: type, named: set[type]) -> dict[str, Any]:
    named.add(record)
    hints = get_type_hints(record, include_extras=True)
    docs = attribute_docs(record)
    return {
        "type": "record",
        "name": record.__name__,
        "namespace": NAMESPACE,
        "doc": summary(record),
        "fields": [
            _field(field, hints[field.name], docs.get(field.name, ""), named)
            for field in fields(record)
        ],
    }


def _field(field: FieldInfo, hint: Any, doc: str, named: set[type]) -> dict[str, Any]:
    try:
        schema = _type(hint, named)
    except TypeError as exc:
        raise TypeError(f"field {field.name}: {exc}") from None
    drawn: dict[str, Any] = {"name": field.name, "type": schema}
    if doc:
        drawn["doc"] = doc
    default = _default(field, hint)
    if default is not NODEFAULT:
        drawn["default"] = default
        if isinstance(schema, list) and default is not None:
            # Avro: the default of a union is of its first branch.
            drawn["type"] = [*(branch for branch in schema if branch != "null"), "null"]
    return drawn


def _default(field: FieldInfo, hint: Any) -> Any:
    """Give every nullable field and every array a default, so that it may come and go."""
    if field.default is not NODEFAULT:
        return _json(field.default)
    if field.default_factory is not NODEFAULT:
        return _json(field.default_factory())
    if _is_union(hint):
        return None
    if get_origin(hint) is tuple:
        return []
    return NODEFAULT


def _json(default: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(default))


def _is_union(hint: Any) -> bool:
    return get_origin(hint) in (Union, types.UnionType)


def _type(hint: Any, named: set[type]) -> Schema:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return {"type": _type(arguments[0], named), "logicalType": arguments[1]}
    if _is_union(hint):
        (present,) = (branch for branch in arguments if branch is not types.NoneType)
        return ["null", _type(present, named)]
    if origin is tuple and arguments[1:] == (Ellipsis,):
        return {"type": "array", "items": _type(arguments[0], named)}
    if hint in PRIMITIVES:
        return PRIMITIVES[hint]
    return _named(hint, named)


def _named(hint: Any, named: set[type]) -> Schema:
    """Draw an enum or a record in full the first time, and by its name after that."""
    if hint in named:
        return f"{NAMESPACE}.{hint.__name__}"
    if isinstance(hint, type) and issubclass(hint, Struct):
        return _record(hint, named)
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        named.add(hint)
        return _enum(hint)
    raise TypeError(f"no Avro type stands for {hint!r}")


def _enum(enum: type[StrEnum]) -> dict[str, Any]:
    members = enum.__members__
    # A state of the domain may be called UNKNOWN; then the member for what we do not know has
    # the longer name.
    unknown = members.get("UNKNOWN_SYMBOL") or members.get("UNKNOWN")
    if unknown is None:
        raise TypeError(f"{enum.__name__} has no UNKNOWN member to read a newer symbol as")
    return {
        "type": "enum",
        "name": enum.__name__,
        "namespace": NAMESPACE,
        "doc": summary(enum),
        "symbols": [member.value for member in members.values()],
        "default": unknown.value,
    }
