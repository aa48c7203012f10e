from __future__ import annotations

import json
from typing import get_args

import pytest
from fastavro import parse_schema
from fastavro.schema import fullname

from schemas.avro_schema import schema_of
from schemas.changing import replace
from schemas.events import Event
from schemas.versions import Version, kept, misfits, newest, released, render

RECORDS = get_args(Event)
NAMES = [record.__name__ for record in RECORDS]
VERSIONS = [version for versions in kept().values() for version in versions]


@pytest.mark.parametrize("record", RECORDS, ids=NAMES)
def test_the_newest_version_of_a_record_is_its_class(record: type[Event]) -> None:
    assert kept()[record.__name__][-1].text == render(schema_of(record))


@pytest.mark.parametrize("record", NAMES)
def test_versions_are_numbered_from_one_without_holes(record: str) -> None:
    numbers = [version.number for version in kept()[record]]

    assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.path)
def test_every_version_is_compatible_with_all_earlier_ones(version: Version) -> None:
    assert misfits(version, kept()[version.record]) == ()


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.path)
def test_every_version_is_a_valid_avro_schema(version: Version) -> None:
    assert fullname(parse_schema(version.schema)) == f"whaticket.events.{version.record}"


def test_nothing_is_released_that_is_not_kept() -> None:
    numbers = {record: versions[-1].number for record, versions in kept().items()}

    assert {name: n for name, n in released().items() if n > numbers.get(name, 0)} == {}


def _older() -> dict[str, tuple[Version, ...]]:
    """What is kept, with a newest TimerFired that is not the class any more."""
    versions = kept()
    schema = versions["TimerFired"][-1].schema
    schema["fields"] = [field for field in schema["fields"] if field["name"] != "cause"]
    changed = replace(versions["TimerFired"][-1], text=render(schema))
    return {**versions, "TimerFired": (changed,)}


@pytest.mark.parametrize(
    ("frozen", "number"),
    [
        # never released: the file follows the class
        ({}, 1),
        # released: a change begins the next version
        ({"TimerFired": 1}, 2),
    ],
)
def test_a_released_version_does_not_change(frozen: dict[str, int], number: int) -> None:
    drawn = {version.record: version.number for version in newest(_older(), frozen)}

    assert drawn == {**dict.fromkeys(NAMES, 1), "TimerFired": number}


def test_a_released_version_that_is_still_the_class_stays_the_newest() -> None:
    numbers = {record: versions[-1].number for record, versions in kept().items()}

    assert {v.record: v.number for v in newest(kept(), numbers)} == numbers


def test_a_version_that_breaks_an_earlier_one_is_named_with_the_reason() -> None:
    first = kept()["TimerFired"][0]
    schema = json.loads(first.text)
    schema["fields"].append({"name": "why", "type": "string"})
    second = Version("TimerFired", 2, render(schema))

    (why,) = misfits(second, (first, second))

    assert why == (
        "schemas/avro/TimerFired/2.avsc and 1.avsc: new readers: TimerFired.why:"
        " not in every version, and it has no default"
    )
