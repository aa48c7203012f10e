from __future__ import annotations

import httpx
import pytest

from schemas.ids import derived
from sinks.database import open_pool
from sinks.transcripts import Transcripts
from tests.sinks.stories import Story
from tests.streams.cli.conftest import CommandLine

pytestmark = pytest.mark.integration

MARIA = Story().conversation_id


async def test_a_person_answers_over_a_real_api_and_a_real_log(
    whaticket: CommandLine, postgres_dsn: str
) -> None:
    await whaticket.run("migrate")
    pool = await open_pool(postgres_dsn)
    await Transcripts(pool).write(Story().whole())
    await pool.close()
    whaticket.environment["API_PORT"] = "0"

    async with whaticket.serving("api") as line:
        address = line.split()[-1]
        whaticket.environment["API_PORT"] = address.rsplit(":", 1)[1]
        ready = await _get(f"{address}/health/ready")
        replied = await whaticket.run("reply", MARIA, "-", "--key", "k1", stdin="Oi!\n")
        taken = await whaticket.run("takeover", MARIA, "--user", "7", "--key", "k1")
        unknown = await whaticket.run("close", "conv_nobody")
        listed = await whaticket.run("conversations", "--tenant", "acme")
        nobodys = await whaticket.run("conversations", "--tenant", "nobody")

    assert ready == {"status": "ready", "checks": {"postgres": True, "kafka": True}}
    assert replied == (0, derived("reply", MARIA, "k1") + "\n")
    assert taken == (0, derived("takeover", MARIA, "k1") + "\n")
    assert unknown == (
        1,
        "whaticket: there is no such conversation; `whaticket conversations` lists a company's\n",
    )
    assert nobodys == (0, "no conversations of nobody\n")
    assert listed == (0, f"{MARIA}\tclosed\tclosed\t-\t0 unread\n")


async def test_an_api_that_does_not_run_is_said_in_one_line(whaticket: CommandLine) -> None:
    whaticket.environment["API_PORT"] = "1"

    code, said = await whaticket.run("release", MARIA)

    assert (code, said.count("\n")) == (2, 1)
    assert said.startswith("whaticket: the people's API does not answer on port 1; ")


async def _get(address: str) -> object:
    async with httpx.AsyncClient() as client:
        return (await client.get(address)).json()
