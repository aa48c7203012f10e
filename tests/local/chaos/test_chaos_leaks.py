from __future__ import annotations

from base64 import b64encode, urlsafe_b64encode
from collections.abc import AsyncIterator, Iterable, Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from schemas.topics import STATEFUL_STAGES
from streams.local.chaos.facts import Counted, Leaked
from streams.local.chaos.leaks import SKIPPED, Search
from streams.local.chaos.witness import Witness

PHONE = b"550012345"


def search() -> Search:
    return Search({PHONE: "phone number", b"zqxabc": "message text"})


def test_a_phone_number_in_a_log_is_found() -> None:
    looking = search()

    looking.log("worker.log", b'{"event": "sent", "to": "5500123450001"}\n')

    assert looking.leaked() == [Leaked(where="log of worker.log", what="phone number", times=1)]


def test_keys_headers_and_metrics_are_searched() -> None:
    looking = search()

    looking.record("t", PHONE, [("h", b"zqxabc"), ("empty", b"")])
    looking.metrics("webhook", b'requests{path="/550012345"} 1\n')

    assert [leak.where for leak in looking.leaked()] == [
        "header h on t",
        "key on t",
        "metrics of webhook",
    ]


@pytest.mark.parametrize(
    "line",
    [
        b"GET /?name=Zuleica%20Qabc",
        b"GET /?name=Zuleica+Qabc",
        b64encode(b"Zuleica Qabc asks"),
        b64encode(b"1Zuleica Qabc asks"),
        urlsafe_b64encode(b"12Zuleica Qabc\xff\xfe"),
        b"Zuleica Qabc".hex().encode(),
    ],
)
def test_a_name_is_found_in_disguise(line: bytes) -> None:
    looking = Search({b"Zuleica Qabc": "name"})

    looking.log("webhook.log", line)

    assert looking.leaked() == [Leaked(where="log of webhook.log", what="name", times=1)]


def test_what_is_clean_is_counted_as_searched() -> None:
    looking = search()

    looking.log("worker.log", b"nothing\n")
    looking.record("t", None, ())
    looking.metrics("webhook", b"up 1\n")

    found = looking.searched()
    assert looking.leaked() == []
    assert (found.logs_bytes, found.records, found.pages, found.planted) == (8, 1, 1, 2)


def test_a_commit_that_a_worker_refused_before_it_was_killed_is_found_in_its_log() -> None:
    looking = search()

    looking.log("worker.log", b'{"event": "audit.skipped", "count": 3, "level": "error"}\n')
    looking.log("worker.log", b'{"event": "audit.unvouched"}\n')

    assert looking.skipped() == [
        Counted(process="log of worker.log", name=SKIPPED, labels={}, count=1)
    ]


class Changelogs(Witness):
    """Sees one record of each changelog."""

    async def _rows(self, topics: Iterable[str], since: Mapping[Any, int]) -> AsyncIterator[Any]:  # noqa: ARG002 - as the witness does
        for topic in topics:
            yield SimpleNamespace(topic=topic, key=PHONE, value=None, headers=[("h", b"zqxabc")])


async def test_keys_and_headers_of_changelogs_are_searched_too() -> None:
    nothing: Any = None
    looking = search()

    stored = await Changelogs(nothing, nothing, nothing, nothing, nothing).stored({}, looking)

    assert looking.records == len(stored) == len(STATEFUL_STAGES)
    assert {leak.what for leak in looking.leaked()} == {"phone number", "message text"}
