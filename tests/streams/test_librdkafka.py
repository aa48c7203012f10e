from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import KafkaException

from streams.kafka import librdkafka

NOBODY = "127.0.0.1:1"


@pytest.mark.parametrize(
    "made",
    [
        librdkafka.admin,
        lambda bootstrap: librdkafka.consumer(bootstrap, "nobody"),
        librdkafka.producer,
    ],
)
def test_a_client_that_finds_nobody_writes_nothing_past_our_log(
    made: Callable[[str], Any], capfd: pytest.CaptureFixture[str]
) -> None:
    client = made(NOBODY)

    with pytest.raises(KafkaException):
        client.list_topics(timeout=1.0)

    assert capfd.readouterr() == ("", "")
