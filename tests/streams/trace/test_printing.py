from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from schemas.changing import replace
from schemas.events import OutboundKind, OutboundSettled, Position
from streams.story.details import where
from streams.story.printing import lines, plain
from streams.story.telling import tell
from streams.story.trace import story
from tests.streams.trace.logbook import (
    CONVERSATION,
    SECRET_PHONE,
    SECRET_TEXT,
    Log,
    answered_by_tool,
    message,
    step,
    taken_over,
)

GOLDEN = Path(__file__).parent / "golden"


def test_nothing_private_is_shown_unless_asked(log: Log) -> None:
    taken_over(log, 9000)
    told = story(log.records, CONVERSATION)
    masked = "\n".join(lines(told)) + str(plain(told))
    whole = "\n".join(lines(told, show_text=True))

    for private in (SECRET_TEXT, SECRET_PHONE, *(f"SECRET-{n}" for n in range(9, 14))):
        assert private not in masked
        assert private in whole


@pytest.mark.parametrize(
    ("write", "wamid", "name"),
    [
        (lambda log: answered_by_tool(log, "wamid.1", "turn-1", 1000), "wamid.1", "answered"),
        (lambda log: taken_over(log, 1000), None, "taken_over"),
    ],
)
def test_a_story_is_printed_as_it_was_before(
    write: Callable[[Log], None], wamid: str | None, name: str
) -> None:
    """The files are what a person reads; after a wanted change they are written anew."""
    log = Log()
    write(log)

    printed = "\n".join(lines(story(log.records, CONVERSATION, wamid))) + "\n"

    assert printed == (GOLDEN / f"{name}.txt").read_text()


def test_a_failure_that_whatsapp_reports_later_is_not_told_as_a_second_end() -> None:
    log = Log()
    taken_over(log, 1000)
    settled = next(each.event for each in log.records if isinstance(each.event, OutboundSettled))

    reported = tell(replace(settled, kind=OutboundKind.REPORT, reason="reported_failed"))

    assert tell(settled).what == "bubble settled: failed"
    assert reported.what == "bubble reported by WhatsApp: failed"


def test_a_cause_that_is_no_longer_on_the_log_is_named_by_its_place() -> None:
    gone = Log().add(message("wamid.1", 1000))
    log = Log()
    log.add(step(1001, gone, "gathering"))

    printed = list(lines(story(log.records, CONVERSATION)))

    assert "from inbox.message.received[3]@0" in printed[3]


def test_plain_data_says_when_each_bubble_was_posted() -> None:
    log = Log()
    taken_over(log, 1000)

    first, second = plain(story(log.records, CONVERSATION))["bubbles"]

    assert [(s["what"], s["at_ms"], s["attempt"], s["why"]) for s in first["steps"]] == [
        ("asked", 1010, 0, ""),
        ("posted", 1015, 1, ""),
        ("unknown", 1015, 1, "timeout"),
        ("posted", 1025, 2, ""),
        ("failed", 1025, 2, "131047"),
    ]
    assert [step["what"] for step in second["steps"]] == ["asked"]


def test_a_message_without_an_outcome_says_so() -> None:
    log = Log()
    log.add(message("wamid.1", 1000))

    assert list(lines(story(log.records, CONVERSATION, "wamid.1")))[-1] == (
        "outcome of wamid.1: none yet"
    )


def test_plain_data_names_every_position(log: Log) -> None:
    entry = plain(story(log.records, CONVERSATION, "wamid.1"))["entries"][1]

    assert (entry["topic"], entry["partition"], entry["offset"], entry["because"]) == (
        "conversation.state.changed", 3, 1, 1,
    )  # fmt: skip
    assert where(Position(topic="t", partition=1, offset=2)) == "t[1]@2"
