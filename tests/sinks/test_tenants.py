from __future__ import annotations

import asyncpg
import pytest
from cryptography.fernet import Fernet

from schemas.changing import replace
from schemas.codec import Codec
from schemas.errors import Misconfigured, Unavailable
from schemas.events import Channel
from sinks.channels import FRESH_S, Channels
from sinks.database import open_pool
from sinks.tenants import Tenants
from sinks.vault import Vault
from tests.sinks.watch import Watch

pytestmark = pytest.mark.integration

KEY = Fernet.generate_key().decode()
NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"
TOKEN = "EAAB-the-access-token"
SECRET = "the-app-secret"


async def shop(pool: asyncpg.Pool, tenant_id: str) -> Tenants:
    tenants = Tenants(pool, Vault(KEY))
    await tenants.add(tenant_id, {"name": "Loja"})
    await tenants.add_app(f"app-{tenant_id}", verify_token="verify-me", secret=SECRET)
    await tenants.add_channel(tenant_id, f"n-{tenant_id}", app_id=f"app-{tenant_id}", token=TOKEN)
    return tenants


async def test_every_change_is_a_new_version_of_the_whole(pool: asyncpg.Pool) -> None:
    tenants = await shop(pool, "versions")

    await tenants.change("versions", {"burst_quiet_ms": 500, "ai_enabled": False})
    settings = await tenants.rotate_channel("n-versions", token="EAAB-newer")

    assert (settings.version, settings.name, settings.burst_quiet_ms, settings.ai_enabled) == (
        (4, "Loja", 500, False)
    )
    assert settings.channels == (
        Channel(phone_number_id="n-versions", app_id="app-versions", token_version=2),
    )
    assert Codec.offline().decode(Codec.offline().encode(settings)) == settings
    assert await tenants.get("versions") == settings


async def test_a_version_is_unpublished_until_the_log_has_it(pool: asyncpg.Pool) -> None:
    tenants = await shop(pool, "log")
    first = await tenants.get("log")
    assert first is not None
    assert first in await tenants.unpublished()

    await tenants.published(first)
    assert first not in await tenants.unpublished()

    second = await tenants.change("log", {"prompt": "Seja breve."})
    await tenants.published(first)  # a late acknowledgement of an older version

    assert second in await tenants.unpublished()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"colour": "red"}, "no setting is called colour"),
        ({"burst_quiet_ms": "soon"}, "a setting has a wrong value"),
        ({"burst_quiet_ms": -1}, "must not be negative"),
        ({"burst_quiet_ms": 9000}, "burst_max_ms must not be less"),
    ],
)
async def test_a_wrong_setting_is_refused_with_its_name(
    pool: asyncpg.Pool, settings: dict[str, object], said: str
) -> None:
    with pytest.raises(Misconfigured, match=said):
        await Tenants(pool, Vault(KEY)).add("wrong", settings)


async def test_a_number_belongs_to_one_company(pool: asyncpg.Pool) -> None:
    tenants = await shop(pool, "first")
    await tenants.add("second", {})

    with pytest.raises(Misconfigured, match="taken"):
        await tenants.add_channel("second", "n-first", app_id="app-first", token=TOKEN)
    with pytest.raises(Misconfigured, match="add the app first"):
        await tenants.add_channel("second", "n-second", app_id="unknown", token=TOKEN)


async def test_no_secret_can_be_read_in_the_database(pool: asyncpg.Pool) -> None:
    await shop(pool, "sealed")

    dump = ""
    for table in ("channels", "meta_apps", "tenants", "tenant_history"):
        dump += str([tuple(row) for row in await pool.fetch(f"SELECT * FROM {table}")])  # noqa: S608 - a list of ours
    assert [secret for secret in (TOKEN, SECRET, "verify-me") if secret in dump] == []
    assert "n-sealed" in dump


async def test_the_previous_app_secret_is_accepted_after_a_rotation(pool: asyncpg.Pool) -> None:
    tenants = await shop(pool, "rotated")
    watch = Watch()
    channels = Channels(pool, KEY, monotonic=watch)
    assert await channels.app_secrets("app-rotated") == (SECRET,)

    await tenants.rotate_app("app-rotated", secret="newer")
    assert await channels.app_secrets("app-rotated") == (SECRET,)
    watch.now = FRESH_S

    assert await channels.app_secrets("app-rotated") == ("newer", SECRET)
    assert await channels.verify_token("app-rotated") == "verify-me"
    assert await channels.app_secrets("unknown") == ()


async def test_a_newer_token_version_is_used_at_once(pool: asyncpg.Pool) -> None:
    tenants = await shop(pool, "token")
    known = {"n-token": Channel(phone_number_id="n-token", app_id="app-token")}
    channels = Channels(pool, KEY, newest=known.get)
    assert await channels.token("n-token") == TOKEN

    await tenants.rotate_channel("n-token", token="EAAB-newer")
    assert await channels.token("n-token") == TOKEN
    known["n-token"] = replace(known["n-token"], token_version=2)

    assert await channels.token("n-token") == "EAAB-newer"


async def test_a_number_that_is_switched_off_has_no_token(pool: asyncpg.Pool) -> None:
    tenants = await shop(pool, "off")
    await tenants.activate_channel("n-off", active=False)

    assert await Channels(pool, KEY).token("n-off") is None


async def test_a_number_is_switched_off_and_on_as_soon_as_its_settings_say_so(
    pool: asyncpg.Pool,
) -> None:
    tenants = await shop(pool, "switch")
    known = {"n-switch": Channel(phone_number_id="n-switch", app_id="app-switch")}
    channels = Channels(pool, KEY, newest=known.get)
    assert await channels.token("n-switch") == TOKEN

    known["n-switch"] = replace(known["n-switch"], active=False)
    assert await channels.token("n-switch") is None

    await tenants.activate_channel("n-switch", active=False)
    known.clear()
    channels.forget("n-switch")
    assert await channels.token("n-switch") is None  # and this answer is kept
    await tenants.activate_channel("n-switch", active=True)
    known["n-switch"] = Channel(phone_number_id="n-switch", app_id="app-switch")
    assert await channels.token("n-switch") == TOKEN


async def test_known_secrets_serve_while_postgres_is_down(pool: asyncpg.Pool) -> None:
    await shop(pool, "down")
    watch = Watch()
    channels = Channels(pool, KEY, monotonic=watch)
    await channels.app_secrets("app-down")
    await channels.token("n-down")

    channels.pool = await open_pool(NOWHERE)
    watch.now = 10 * FRESH_S

    assert await channels.app_secrets("app-down") == (SECRET,)
    assert await channels.token("n-down") == TOKEN
    with pytest.raises(Unavailable):
        await channels.app_secrets("never-seen")
    await channels.pool.close()


async def test_another_key_opens_nothing_and_says_so(pool: asyncpg.Pool) -> None:
    await shop(pool, "keys")
    other = Fernet.generate_key().decode()

    with pytest.raises(Misconfigured, match="another SECRETS_KEY"):
        await Channels(pool, other).token("n-keys")
    assert await Channels(pool, f"{other},{KEY}").token("n-keys") == TOKEN


def test_a_malformed_key_is_refused() -> None:
    with pytest.raises(Misconfigured, match="no Fernet key"):
        Vault("short")


async def test_a_number_carries_metas_default_until_it_is_said_otherwise(
    pool: asyncpg.Pool,
) -> None:
    tenants = await shop(pool, "limit")
    before = await tenants.get("limit")

    settings = await tenants.limit_channel("n-limit", messages_per_second=1000)

    assert before is not None
    assert [each.messages_per_second for each in before.channels] == [80]
    assert [each.messages_per_second for each in settings.channels] == [1000]
    with pytest.raises(Misconfigured, match="not known"):
        await tenants.limit_channel("n-nobody", messages_per_second=1)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"handoff_minutes": -1}, "handoff_minutes must not be negative"),
        ({"human_silence_minutes": 10_081}, "must not be more than 10080"),
        ({"handoff_late_text": "a" * 1001}, "handoff_late_text must not be longer"),
        ({"takeover_tags": [" "]}, "takeover_tags are at most 20"),
        ({"takeover_tags": ["a"] * 21}, "takeover_tags are at most 20"),
        ({"burst_quiet_min_ms": -1}, "burst_quiet_min_ms must not be negative"),
    ],
)
async def test_a_setting_out_of_its_bounds_is_refused(
    pool: asyncpg.Pool, wrong: dict[str, object], words: str
) -> None:
    tenants = Tenants(pool, Vault(KEY))

    with pytest.raises(Misconfigured, match=words):
        await tenants.add("bounds", wrong)
