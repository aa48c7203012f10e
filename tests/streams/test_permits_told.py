"""`channels_stopped` calls somebody, and lets them go when nothing is stopped any more."""

from __future__ import annotations

from prometheus_client import REGISTRY

from agents.ports import Refused
from schemas.events import Channel
from tests.streams.test_permits import AUTH, NUMBER, Office

BLOCKED = Refused(code=368, status=400)
MINUTE_S = 60.0


def stopped() -> float | None:
    return REGISTRY.get_sample_value("channels_stopped")


async def test_an_account_that_is_refused_now_and_then_stays_told() -> None:
    office = Office()
    for number in range(5):
        await office.send(f"b{number}", BLOCKED)
        office.now += 10 * MINUTE_S
        await office.permits.rates.renew()

        assert stopped() == 1


async def test_a_stop_that_nobody_tries_any_more_is_told_no_longer() -> None:
    """The account was paid; whoever writes to the number now is another worker's."""
    office = Office()
    await office.send("b1", BLOCKED)
    assert stopped() == 1

    office.now += 20 * MINUTE_S

    assert stopped() == 0


async def test_a_new_token_is_noticed_where_nothing_waits_for_it() -> None:
    office = Office()
    await office.send("b1", AUTH)
    office.channels[NUMBER] = Channel(phone_number_id=NUMBER, app_id="app", token_version=2)

    assert stopped() == 0
