from __future__ import annotations

from collections import Counter
from typing import get_args

import pytest

from schemas.events import Event, TimerFired
from schemas.topics import DAY_MS, STATEFUL_STAGES, TOPICS, Key, Topic, changelog

NAMES = [topic.name for topic in TOPICS]

# Replay must reach behind the latest redelivery of a webhook.
# Source: Meta, WhatsApp Cloud API, "Webhooks": delivery is tried again for up to 7 days.
SHORTEST_MS = 8 * DAY_MS


def test_names_are_unique_also_among_dead_letters_and_changelogs() -> None:
    names = [*NAMES, *(topic.dlq for topic in TOPICS), *map(changelog, STATEFUL_STAGES)]

    assert [name for name, times in Counter(names).items() if times > 1] == []


@pytest.mark.parametrize("topic", TOPICS, ids=NAMES)
def test_a_name_is_lower_case_words_between_dots(topic: Topic) -> None:
    assert all(word.isascii() and word.islower() for word in topic.name.split("."))


def test_every_record_is_on_a_topic() -> None:
    assert {topic.record for topic in TOPICS} == set(get_args(Event))


def test_only_timers_are_on_two_topics() -> None:
    times = Counter(topic.record for topic in TOPICS)

    assert {record: n for record, n in times.items() if n > 1} == {TimerFired: 2}


@pytest.mark.parametrize("topic", TOPICS, ids=NAMES)
def test_every_topic_is_written_read_and_described(topic: Topic) -> None:
    assert all((topic.writers, topic.readers, topic.doc))
    assert topic.doc.endswith(".")


@pytest.mark.parametrize("topic", TOPICS, ids=NAMES)
def test_a_record_is_kept_longer_than_a_late_redelivery(topic: Topic) -> None:
    assert topic.compacted or topic.retention_ms >= SHORTEST_MS


def test_settings_outlive_every_record_that_was_decided_with_them() -> None:
    longest = max(topic.retention_ms for topic in TOPICS if not topic.compacted)

    assert all(topic.retention_ms > longest for topic in TOPICS if topic.compacted)


def test_a_topic_of_tenants_is_the_only_one_that_conversations_do_not_share() -> None:
    odd = {topic.name for topic in TOPICS if topic.single or topic.key is not Key.CONVERSATION}

    assert odd == {"tenant.settings.changed"}


def test_each_stateful_stage_reads_and_writes_topics() -> None:
    writers = {writer for topic in TOPICS for writer in topic.writers}
    readers = {reader for topic in TOPICS for reader in topic.readers}

    assert set(STATEFUL_STAGES) <= writers & readers
