from __future__ import annotations

import pytest

from schemas.codec import Codec
from schemas.events import Channel
from streams.kafka.registry import open_codec
from streams.settings import Settings
from streams.tenancy.tenants import TenantSettings
from tests.streams.cli.conftest import CommandLine

pytestmark = pytest.mark.integration

TOKEN = "EAAB-an-access-token"


async def test_a_company_is_set_up_from_the_command_line_and_every_worker_knows_it(
    whaticket: CommandLine, provisioned: Settings
) -> None:
    said = [
        await whaticket.run("migrate"),
        await whaticket.run("app", "add", "app-1", stdin="the-app-secret\nthe-verify-token\n"),
        await whaticket.run("tenant", "add", "loja", "name=Loja da Ana", "burst_quiet_ms=900"),
        await whaticket.run(
            "channel", "add", "1055550009", "--tenant", "loja", "--app", "app-1", stdin=TOKEN
        ),
        await whaticket.run("tenant", "set", "loja", "ai_enabled=false"),
        await whaticket.run("channel", "list"),
        await whaticket.run("tenant", "show", "loja"),
    ]
    assert [code for code, _ in said] == [0] * len(said), said
    everything = "".join(text for _, text in said)
    assert not any(secret in everything for secret in (TOKEN, "the-app-secret", "the-verify-token"))

    codec: Codec = await open_codec(provisioned)
    known = TenantSettings(provisioned.kafka_bootstrap, codec)
    await known.start()
    settings = known.get("loja")
    await known.stop()
    assert settings is not None
    assert (settings.version, settings.name, settings.burst_quiet_ms, settings.ai_enabled) == (
        (3, "Loja da Ana", 900, False)
    )
    assert settings.channels == (Channel(phone_number_id="1055550009", app_id="app-1"),)


async def test_a_wrong_setting_is_one_line_for_a_person(whaticket: CommandLine) -> None:
    await whaticket.run("migrate")

    code, said = await whaticket.run("tenant", "add", "errada", "colour=red")

    assert code == 2
    assert "no setting is called colour" in said
    assert "Traceback" not in said
