from __future__ import annotations

import asyncio

import httpx
import pytest
from typer.testing import CliRunner

from schemas.avro_schema import schema_of
from schemas.codec import HEADER, MAGIC
from schemas.errors import Misconfigured, Rejected
from schemas.events import TimerFired
from schemas.examples import examples
from schemas.topics import CONVERSATION_TIMER, HANDOFF_REQUESTED
from streams import settings as settings_module
from streams.cli import build
from streams.kafka import provision
from streams.kafka.cluster import Cluster
from streams.kafka.provision import Difference, Kind
from streams.kafka.registry import Refused, Registry, open_codec
from streams.settings import Settings

pytestmark = pytest.mark.integration

TIMER = next(found.event for found in examples() if isinstance(found.event, TimerFired))


def _ours(found: list[Difference]) -> list[Difference]:
    """Without topics that other tests made beside ours."""
    return [change for change in found if change.kind is not Kind.EXTRA]


async def test_what_was_applied_differs_no_more(provisioned: Settings) -> None:
    assert _ours(await provision.differences(provisioned)) == []


async def test_a_changed_setting_is_shown_and_put_right(provisioned: Settings) -> None:
    name = HANDOFF_REQUESTED.name
    await Cluster(provisioned.kafka_bootstrap).configure(name, {"retention.ms": "86400000"})
    expected = [
        Difference(Kind.DIFFERENT, "config", f"{name} retention.ms", "86400000", "1209600000")
    ]

    async with asyncio.timeout(30):
        # The broker shows the change a moment after the controller has taken it.
        while (looked := _ours(await provision.apply(provisioned, execute=False))) == []:
            pass
    applied = await provision.apply(provisioned, execute=True)

    assert (looked, _ours(applied)) == (expected, expected)
    assert _ours(await provision.differences(provisioned)) == []


async def test_another_number_of_partitions_is_refused_and_nothing_is_changed(
    provisioned: Settings,
) -> None:
    more = provisioned.model_copy(update={"topic_partitions": provisioned.topic_partitions + 1})

    with pytest.raises(Misconfigured, match="is never changed"):
        await provision.apply(more, execute=True)

    assert _ours(await provision.differences(provisioned)) == []


async def test_topics_that_have_fewer_replicas_than_asked_for_can_be_written_to_all_the_same(
    provisioned: Settings,
) -> None:
    more = provisioned.model_copy(update={"topic_replication": 3})

    await provision.apply(more, execute=True)

    assert _ours(await provision.differences(provisioned)) == []


async def test_the_registry_refuses_a_schema_that_breaks_older_readers(
    provisioned: Settings,
) -> None:
    breaking = {**schema_of(TimerFired)}
    breaking["fields"] = [field for field in breaking["fields"] if field["name"] != "due_at"]

    with pytest.raises(Refused) as refused:
        await Registry(provisioned.schema_registry_url).register(
            CONVERSATION_TIMER.subject, breaking
        )

    assert refused.value.status == httpx.codes.CONFLICT


async def test_a_codec_of_the_registry_reads_what_it_wrote(provisioned: Settings) -> None:
    codec = await open_codec(provisioned)

    assert codec.decode(codec.encode(TIMER)) == TIMER


@pytest.mark.parametrize("schema_id", [0, 999_999, 2**31 - 1, 2**31, 2**32 - 1])
async def test_an_id_that_the_registry_never_gave_is_rejected(
    provisioned: Settings, schema_id: int
) -> None:
    codec = await open_codec(provisioned)

    with pytest.raises(Rejected) as refused:
        await codec.read(HEADER.pack(MAGIC, schema_id) + b"x")

    assert refused.value.reason == "unknown_schema"


def test_the_command_shows_a_difference_and_exits_1(
    provisioned: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = provisioned.topic_partitions
    more = provisioned.model_copy(update={"topic_partitions": count + 1})
    monkeypatch.setattr(settings_module, "settings", lambda: more)

    ran = CliRunner().invoke(build(), ["topics", "diff"])

    line = f"different\tpartitions\t{HANDOFF_REQUESTED.name}\t{count}\t{count + 1}\n"
    assert (ran.exit_code, line in ran.stdout) == (1, True)


def test_the_command_only_looks_unless_it_is_told_to_act(
    provisioned: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings_module, "settings", lambda: provisioned)

    ran = CliRunner().invoke(build(), ["topics", "apply"])

    assert (ran.exit_code, "Run with --execute." in ran.stdout) == (0, True)
