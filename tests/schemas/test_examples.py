from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import pytest

from schemas.codec import HEADER, MAGIC, Codec
from schemas.events import Event
from schemas.examples import Example, examples, render
from schemas.topics import TOPICS
from schemas.versions import kept

EXAMPLES = {f"{type(found.event).__name__}/{found.name}": found for found in examples()}
GOLDEN: dict[str, Any] = json.loads((Path(__file__).parent / "golden.json").read_text("utf-8"))
"""Bodies as they were once written, by example: what is on somebody's log."""


@pytest.mark.parametrize("record", get_args(Event), ids=lambda record: record.__name__)
def test_every_record_has_an_example(record: type[Event]) -> None:
    assert any(type(example.event) is record for example in EXAMPLES.values())


def test_every_topic_has_an_example() -> None:
    assert {found.event.event for found in EXAMPLES.values()} == {topic.name for topic in TOPICS}


@pytest.mark.parametrize("example", EXAMPLES.values(), ids=EXAMPLES)
def test_an_example_says_the_topic_that_its_record_belongs_on(example: Example) -> None:
    records = {topic.name: topic.record for topic in TOPICS}

    assert type(example.event) is records[example.event.event]


@pytest.mark.parametrize("example", EXAMPLES.values(), ids=EXAMPLES)
def test_an_example_shows_every_field(example: Example) -> None:
    assert example.text == render(example.event)


def test_every_example_has_golden_bytes() -> None:
    assert set(GOLDEN) == set(EXAMPLES)


@pytest.mark.parametrize("name", GOLDEN)
def test_bytes_that_were_written_once_are_read_as_the_example(name: str) -> None:
    golden = GOLDEN[name]
    record = name.partition("/")[0]
    codec = Codec.offline()
    codec.teach(9, kept()[record][golden["version"] - 1].text)

    assert (
        codec.decode(HEADER.pack(MAGIC, 9) + bytes.fromhex(golden["body"])) == EXAMPLES[name].event
    )


@pytest.mark.parametrize("name", GOLDEN)
def test_an_example_is_written_as_its_golden_bytes_while_its_version_is_the_newest(
    name: str,
) -> None:
    golden = GOLDEN[name]
    newest = kept()[name.partition("/")[0]][-1].number
    written = Codec.offline().encode(EXAMPLES[name].event)[HEADER.size :].hex()

    assert (written == golden["body"]) is (golden["version"] == newest)
