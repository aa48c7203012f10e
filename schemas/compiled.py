"""The writer and the reader of a record, as code that is made from its class.

fastavro finds each field of a schema by its name, again for every record: two thirds of the time
that an event took from its class to bytes, and half of the way back. Here the fields are known
when the code is made, at the first record of its class.

Rule 1: what is written, and what is read, is what fastavro would write and read.
Rule 2: whatever is not plain (a value of another type, a length that none can have) is an error
here, even where fastavro would take it: ``schemas.codec`` then asks fastavro, whose word counts.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from enum import StrEnum
from functools import cache
from types import NoneType
from typing import Annotated, Any, Final, NoReturn, get_args, get_origin, get_type_hints

from msgspec import Struct

from schemas.avro_schema import schema_of

Write = Callable[[Any, Callable[[bytes], object]], None]
"""Given a record and what takes its bytes, piece by piece."""
Read = Callable[[bytes, int], tuple[Any, int]]
"""Given bytes and where a record begins: the record, and where it ends."""

DOUBLE: Final = struct.Struct("<d")
MOST: Final = 1 << 64
LONGEST: Final = 70
"""A long of 64 bits takes ten groups of seven."""


def write_long(number: int) -> bytes:
    """Return an Avro long.

    Raises:
        TypeError: It is no integer.
        OverflowError: It has more than 64 bits.
    """
    if type(number) is not int:
        raise TypeError(number)
    rest = number << 1 if number >= 0 else ~(number << 1)
    if rest < 1 << 7:
        return rest.to_bytes(1, "big")
    if rest >= MOST:
        raise OverflowError
    groups = bytearray()
    while rest >= 1 << 7:
        groups.append(rest & 0x7F | 0x80)
        rest >>= 7
    groups.append(rest)
    return bytes(groups)


def read_long(raw: bytes, place: int) -> tuple[int, int]:
    """Return an Avro long, and where it ends.

    Raises:
        IndexError: The bytes end before.
        OverflowError: It has more than 64 bits.
    """
    byte = raw[place]
    number, bits = byte & 0x7F, 7
    while byte & 0x80:
        place += 1
        byte = raw[place]
        number |= (byte & 0x7F) << bits
        bits += 7
    if number >= MOST or bits > LONGEST:
        raise OverflowError
    return (number >> 1) ^ -(number & 1), place + 1


def read_double(raw: bytes, place: int) -> tuple[float, int]:
    """Return an Avro double, and where it ends."""
    return DOUBLE.unpack_from(raw, place)[0], place + DOUBLE.size


def read_size(raw: bytes, place: int) -> tuple[int, int]:
    """Return where a text begins and ends."""
    size, begin = read_long(raw, place)
    return (begin, begin + size) if size >= 0 else refuse()


def refuse() -> NoReturn:
    """Leave it to fastavro."""
    raise TypeError


SHORT: Final = 1 << 10
SIZES: Final = tuple(write_long(size) for size in range(SHORT))
"""Sizes of texts, as they are written."""
HALVES: Final = tuple(None if byte & 1 else byte >> 1 for byte in range(1 << 7))
"""Sizes of texts, as one byte says them; an odd byte is a negative one."""
KNOWN: Final = {
    "DOUBLE": DOUBLE.pack,
    "HALVES": HALVES,
    "SHORT": SHORT,
    "SIZES": SIZES,
    "TRUTHS": (False, True),
    "read_double": read_double,
    "read_long": read_long,
    "read_size": read_size,
    "refuse": refuse,
    "write_long": write_long,
}
"""What the code that is made calls by these names."""

WRITING: Final[dict[Any, tuple[str, ...]]] = {
    str: (
        "text = {value}.encode()",
        "size = len(text)",
        "put(SIZES[size] if size < SHORT else write_long(size))",
        "put(text)",
    ),
    int: ("put(write_long({value}))",),
    bool: ("put(b'\\1' if {value} is True else b'\\0' if {value} is False else refuse())",),
    float: ("put(DOUBLE({value}) if type({value}) is float else refuse())",),
}
READING: Final[dict[Any, tuple[str, ...]]] = {
    str: (
        "byte = raw[at]",
        "at += 1",
        "if byte < 128: end = at + HALVES[byte]",
        "else: at, end = read_size(raw, at - 1)",
        "{value} = raw[at:end].decode()",
        "at = end",
    ),
    int: ("{value}, at = read_long(raw, at)",),
    bool: ("{value} = TRUTHS[raw[at]]", "at += 1"),
    float: ("{value}, at = read_double(raw, at)",),
}


@cache
def writer_of(record: type) -> Write:
    """Return what writes a record of this class."""
    source = _Source("record, put")
    _write_fields(source, record, "record", 1)
    made: Write = source.compiled(f"writer of {record.__name__}")
    return made


@cache
def reader_of(record: type) -> Read:
    """Return what reads a record of this class, written with the schema that the class has now."""
    source = _Source("raw, at")
    found = _read_fields(source, record, 1)
    source.add(1, f"return {found}, at")
    made: Read = source.compiled(f"reader of {record.__name__}")
    return made


class _Source:
    """A function, line by line.

    Attributes:
        names: What it knows by name.
    """

    def __init__(self, arguments: str) -> None:
        self.names: dict[str, Any] = dict(KNOWN)
        self._lines = [f"def made({arguments}):"]
        self._count = 0

    def add(self, depth: int, *lines: str) -> None:
        self._lines += ["    " * depth + line for line in lines]

    def fresh(self) -> str:
        self._count += 1
        return f"value{self._count}"

    def keep(self, kept: Any) -> str:
        """Return a name of its own for what the code needs."""
        name = f"KEPT{len(self.names)}"
        self.names[name] = kept
        return name

    def compiled(self, title: str) -> Any:
        # Every word of it is from the classes of our own records.
        exec(compile("\n".join(self._lines), f"<{title}>", "exec"), self.names)  # noqa: S102
        return self.names["made"]


def _fields(record: type) -> Iterator[tuple[str, Any, Any]]:
    """Yield name, type and Avro type of each field."""
    hints = get_type_hints(record, include_extras=True)
    for field in schema_of(record)["fields"]:
        yield field["name"], hints[field["name"]], field["type"]


def _bare(hint: Any) -> Any:
    return get_args(hint)[0] if get_origin(hint) is Annotated else hint


def _branches(hint: Any, drawn: Any) -> tuple[Any, int] | None:
    """Return what a nullable type holds, and the number of the branch null; None: it is none."""
    if NoneType not in get_args(hint):
        return None
    (present,) = (branch for branch in get_args(hint) if branch is not NoneType)
    return present, drawn.index("null")


def _write_fields(source: _Source, record: type, value: str, depth: int) -> None:
    for name, hint, drawn in _fields(record):
        held = source.fresh()
        source.add(depth, f"{held} = {value}.{name}")
        _write(source, hint, drawn, held, depth)


def _write(source: _Source, hint: Any, drawn: Any, value: str, depth: int) -> None:
    hint = _bare(hint)
    if nullable := _branches(hint, drawn):
        present, null = nullable
        source.add(depth, f"if {value} is None: put({write_long(null)!r})", "else:")
        source.add(depth + 1, f"put({write_long(1 - null)!r})")
        _write(source, present, drawn[1 - null], value, depth + 1)
    elif get_origin(hint) is tuple:
        each = source.fresh()
        source.add(depth, f"if type({value}) is not tuple: refuse()", f"if {value}:")
        source.add(depth + 1, f"put(write_long(len({value})))", f"for {each} in {value}:")
        _write(source, get_args(hint)[0], _items(drawn), each, depth + 2)
        source.add(depth, "put(b'\\0')")
    elif hint in WRITING:
        source.add(depth, *(line.format(value=value) for line in WRITING[hint]))
    elif issubclass(hint, StrEnum):
        symbols = {member.value: write_long(place) for place, member in enumerate(_members(hint))}
        source.add(depth, f"put({source.keep(symbols)}[{value}])")
    else:
        source.add(depth, f"if type({value}) is not {source.keep(hint)}: refuse()")
        _write_fields(source, hint, value, depth)


def _read_fields(source: _Source, record: type[Struct], depth: int) -> str:
    read = {name: _read(source, hint, drawn, depth) for name, hint, drawn in _fields(record)}
    found = source.fresh()
    given = ", ".join(f"{name}={value}" for name, value in read.items())
    source.add(depth, f"{found} = {source.keep(record)}({given})")
    return found


def _read(source: _Source, hint: Any, drawn: Any, depth: int) -> str:
    """Add what reads a value; return the name that has it."""
    hint = _bare(hint)
    found = source.fresh()
    if nullable := _branches(hint, drawn):
        present, null = nullable
        source.add(depth, "byte = raw[at]", "at += 1", f"if byte == {2 * null}: {found} = None")
        source.add(depth, f"elif byte == {2 - 2 * null}:")
        held = _read(source, present, drawn[1 - null], depth + 1)
        source.add(depth + 1, f"{found} = {held}")
        source.add(depth, "else: refuse()")
    elif get_origin(hint) is tuple:
        _read_items(source, hint, drawn, found, depth)
    elif hint in READING:
        source.add(depth, *(line.format(value=found) for line in READING[hint]))
    elif issubclass(hint, StrEnum):
        symbols = dict(zip(range(0, 1 << 7, 2), _members(hint), strict=False))
        source.add(depth, f"{found} = {source.keep(symbols)}[raw[at]]", "at += 1")
    else:
        return _read_fields(source, hint, depth)
    return found


def _read_items(source: _Source, hint: Any, drawn: Any, found: str, depth: int) -> None:
    """Add what reads an array; of the blocks that also tell their bytes fastavro knows."""
    left = source.fresh()
    source.add(depth, f"{found} = []", f"{left}, at = read_long(raw, at)", f"while {left}:")
    source.add(depth + 1, f"if {left} < 0: refuse()", f"for _ in range({left}):")
    held = _read(source, get_args(hint)[0], _items(drawn), depth + 2)
    source.add(depth + 2, f"{found}.append({held})")
    source.add(depth + 1, f"{left}, at = read_long(raw, at)")
    source.add(depth, f"{found} = tuple({found})")


def _items(drawn: Any) -> Any:
    return drawn["items"]


def _members(symbols: type[StrEnum]) -> list[StrEnum]:
    return list(symbols.__members__.values())
