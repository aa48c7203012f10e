"""What a record may become: FULL_TRANSITIVE compatibility of Avro schemas.

Every version can read what any other version wrote, so that writers and readers may be
deployed, and rolled back, in any order.

Source: Apache Avro 1.12 Specification, "Schema Resolution"; Confluent Schema Registry,
"Schema Evolution and Compatibility".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from schemas.avro_schema import Schema

PROMOTIONS: Final = frozenset(
    {
        ("int", "long"),
        ("int", "float"),
        ("int", "double"),
        ("long", "float"),
        ("long", "double"),
        ("float", "double"),
        ("string", "bytes"),
        ("bytes", "string"),
    }
)
"""(writer, reader): primitives that Avro reads as another."""


def incompatibilities(older: Schema, newer: Schema) -> tuple[str, ...]:
    """Return why two versions cannot live side by side; empty when they can."""
    forward = (f"old readers: {why}" for why in unreadable(newer, older))
    backward = (f"new readers: {why}" for why in unreadable(older, newer))
    return tuple(dict.fromkeys((*backward, *forward)))


def unreadable(writer: Schema, reader: Schema) -> tuple[str, ...]:
    """Return why values of one schema cannot be read with another; empty when they can."""
    resolution = _Resolution(_names(writer), _names(reader))
    return tuple(resolution.problems(writer, reader, ""))


def _names(schema: Schema, namespace: str = "") -> dict[str, Schema]:
    """Return every named type of a schema by its full name."""
    if isinstance(schema, list):
        return _merged(_names(branch, namespace) for branch in schema)
    if not isinstance(schema, dict):
        return {}
    namespace = schema.get("namespace", namespace)
    inner = [field["type"] for field in schema.get("fields", ())]
    inner += [schema[part] for part in ("items", "values") if part in schema]
    if isinstance(schema["type"], (dict, list)):
        inner.append(schema["type"])
    names = _merged(_names(part, namespace) for part in inner)
    if "name" in schema:
        names |= {schema["name"]: schema, f"{namespace}.{schema['name']}": schema}
    return names


def _merged(parts: Iterator[dict[str, Schema]]) -> dict[str, Schema]:
    merged: dict[str, Schema] = {}
    for part in parts:
        merged |= part
    return merged


@dataclass(frozen=True, slots=True)
class _Resolution:
    """One reading of a writer's schema with a reader's, each with its own names."""

    writers: Mapping[str, Schema]
    readers: Mapping[str, Schema]

    def problems(self, writer: Schema, reader: Schema, path: str) -> Iterator[str]:
        writer, reader = _seen(writer, self.writers), _seen(reader, self.readers)
        if isinstance(writer, list):
            for branch in writer:
                yield from self.problems(branch, reader, path)
        elif isinstance(reader, list):
            yield from self._branch(writer, reader, path)
        elif writer["type"] != reader["type"]:
            if (writer["type"], reader["type"]) not in PROMOTIONS:
                yield f"{path}: {writer['type']} cannot be read as {reader['type']}"
        elif writer.get("logicalType") != reader.get("logicalType"):
            yield f"{path}: the logical type changes what the number means"
        else:
            yield from self._same_type(writer, reader, path)

    def _branch(self, writer: Schema, branches: list[Schema], path: str) -> Iterator[str]:
        found = [list(self.problems(writer, branch, path)) for branch in branches]
        if all(found):
            # Of several reasons the one of the branch that is most alike says most.
            yield next(
                (why for whys in found for why in whys if "cannot be read as" not in why),
                f"{path}: no branch of the union takes {writer['type']}",
            )

    def _same_type(self, writer: Schema, reader: Schema, path: str) -> Iterator[str]:
        match writer["type"]:
            case "record":
                yield from self._records(writer, reader, path or writer["name"])
            case "enum":
                yield from _enums(writer, reader, path)
            case "array":
                yield from self.problems(writer["items"], reader["items"], f"{path}[]")
            case "map":
                yield from self.problems(writer["values"], reader["values"], f"{path}{{}}")
            case _:
                pass

    def _records(self, writer: Schema, reader: Schema, path: str) -> Iterator[str]:
        if writer["name"] != reader["name"]:
            yield f"{path}: {writer['name']} cannot be read as {reader['name']}"
            return
        written = {field["name"]: field for field in writer["fields"]}
        for field in reader["fields"]:
            where = f"{path}.{field['name']}"
            if field["name"] in written:
                yield from self.problems(written[field["name"]]["type"], field["type"], where)
            elif "default" not in field:
                yield f"{where}: not in every version, and it has no default"


def _seen(schema: Schema, names: Mapping[str, Schema]) -> Schema:
    """Return a union as a list and everything else as a dict in full."""
    if isinstance(schema, str):
        return names.get(schema, {"type": schema})
    if isinstance(schema, dict) and isinstance(schema["type"], (dict, list)):
        return _seen(schema["type"], names)
    return schema


def _enums(writer: Schema, reader: Schema, path: str) -> Iterator[str]:
    if writer["name"] != reader["name"]:
        yield f"{path}: {writer['name']} cannot be read as {reader['name']}"
    elif "default" not in reader:
        yield f"{path}: {reader['name']} has no default to read an unknown symbol as"
