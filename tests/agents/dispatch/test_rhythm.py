from __future__ import annotations

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.core.rhythm import gap_ms, learned, longest_ms, quiet_ms
from schemas.events import HandoffRequested, ResponseOutcome, SettingsChanged
from tests.agents.dispatch.talk import T0, Talk, message, thinking, with_settings

LONGEST: Final = 8000
TIMES = st.integers(-(2**40), 2**40)
GAPS = st.integers(0, 2**40)
RHYTHMS = st.none() | st.integers(0, LONGEST)
TENANTS = st.builds(
    with_settings,
    burst_quiet_ms=st.integers(-5, 20_000),
    burst_max_ms=st.integers(-5, 20_000),
    burst_quiet_min_ms=st.integers(-5, 20_000),
    burst_adapts=st.booleans(),
)


@given(TENANTS, RHYTHMS)
def test_the_quiet_time_is_never_longer_than_a_burst_may_last(
    tenant: SettingsChanged, rhythm: int | None
) -> None:
    assert 0 <= quiet_ms(tenant, rhythm) <= longest_ms(tenant)


@given(TENANTS, RHYTHMS)
def test_it_is_shorter_than_usual_only_down_to_its_bound(
    tenant: SettingsChanged, rhythm: int | None
) -> None:
    usual = max(0, tenant.burst_quiet_ms)

    assert quiet_ms(tenant, rhythm) >= min(usual, max(0, tenant.burst_quiet_min_ms))


@given(TENANTS, st.integers(0, LONGEST), st.integers(0, LONGEST))
def test_a_slower_rhythm_never_has_a_shorter_quiet_time(
    tenant: SettingsChanged, one: int, other: int
) -> None:
    quicker, slower = sorted((one, other))

    assert quiet_ms(tenant, quicker) <= quiet_ms(tenant, slower)


@given(RHYTHMS, st.integers(0, LONGEST), st.integers(0, LONGEST))
def test_a_longer_gap_never_makes_the_rhythm_quicker(
    rhythm: int | None, one: int, other: int
) -> None:
    shorter, longer = (learned(rhythm, gap, longest_ms=LONGEST) for gap in sorted((one, other)))

    assert shorter is not None
    assert longer is not None
    assert shorter <= longer


@given(st.integers(0, LONGEST), GAPS)
def test_the_rhythm_lies_between_what_it_was_and_the_gap(rhythm: int, gap: int) -> None:
    after = learned(rhythm, gap, longest_ms=LONGEST)

    assert after is not None
    assert min(rhythm, gap) <= after <= max(rhythm, min(gap, LONGEST))


@given(RHYTHMS, st.integers(LONGEST + 1, 2**40))
def test_a_gap_that_is_no_part_of_a_burst_tells_nothing(rhythm: int | None, gap: int) -> None:
    assert learned(rhythm, gap, longest_ms=LONGEST) == rhythm


@given(TIMES, TIMES)
def test_a_gap_is_never_negative_whatever_the_clocks_say(received: int, sent: int) -> None:
    assert gap_ms(received, sent) >= 0


@pytest.mark.parametrize(
    ("received", "sent", "gap"),
    [
        (700, 1000, 700),  # whole seconds: no more precise than the arrival
        (20, 4000, 4000),  # held up on the way: they came together
        (4000, 0, 4000),  # WhatsApp's clock stands
        (900, -5000, 900),
    ],
)
def test_whatsapps_times_count_when_messages_were_held_up(
    received: int, sent: int, gap: int
) -> None:
    assert gap_ms(received, sent) == gap


@given(st.lists(st.integers(0, 12_000), min_size=1, max_size=12), TENANTS)
def test_no_rhythm_loses_a_message_or_keeps_a_burst_open_for_ever(
    gaps: list[int], tenant: SettingsChanged
) -> None:
    talk = Talk(tenant)
    opened = 0
    for number, gap in enumerate(gaps):
        while "burst" in talk.it.timers if talk.state else False:
            if talk.it.timers["burst"] > T0 + sum(gaps[:number]) + gap:
                break
            talk.fire("burst")
        talk.now = max(talk.now, T0 + sum(gaps[: number + 1]))
        talk.hear(f"w{number}", "mais")
        if "burst" in talk.it.timers:
            opened = talk.it.gathering_since_ms
            assert talk.it.timers["burst"] <= opened + longest_ms(tenant)

    talk.until_quiet()

    assert talk.outcomes.keys() == {f"w{number}" for number in range(len(gaps))}


def test_a_slow_writer_is_waited_for_after_the_pipeline_was_too_quick_once() -> None:
    talk = thinking("quero saber")
    talk.now = T0 + 4000
    talk.hear("w2", "o preço do azul")
    talk.fire("burst")
    talk.respond(outcome=ResponseOutcome.CANCELLED)
    talk.respond("R$ 10")
    talk.now += 60_000

    talk.hear("w3", "e também")

    assert talk.it.rhythm_ms == 4000
    assert talk.it.timers["burst"] == talk.now + 6000


def test_a_quick_writer_waits_less() -> None:
    talk = Talk()
    for number in range(4):
        talk.hear(f"w{number}", "oi")
        talk.now += 200

    talk.hear("w9", "tudo bem?")

    assert talk.it.timers["burst"] == talk.now + 600


def test_a_message_after_the_answer_is_a_new_thought() -> None:
    talk = thinking()
    talk.respond("R$ 10")
    talk.now += 3000

    talk.hear("w2", "e o verde?")

    assert talk.it.rhythm_ms is None


def test_messages_of_one_delivery_do_not_make_the_customer_quick() -> None:
    talk = Talk()
    talk.apply(message("w1", at=T0, sent_at=T0 - 9000))

    talk.apply(message("w2", at=T0, sent_at=T0 - 5000))

    assert talk.it.rhythm_ms == 4000


def test_a_tenant_may_keep_one_quiet_time_for_all() -> None:
    talk = Talk(with_settings(burst_adapts=False))
    talk.hear("w1")
    talk.now += 200
    talk.hear("w2")

    talk.now += 200
    talk.hear("w3", "quanto custa?")

    assert talk.it.timers["burst"] == talk.now + 1500
    talk.fire("burst")
    assert talk.of(HandoffRequested)[0].wamids == ("w1", "w2", "w3")


def test_a_clock_that_was_ahead_does_not_keep_a_burst_open() -> None:
    tenant = with_settings(burst_adapts=False, burst_quiet_ms=1_500, burst_max_ms=8_000)
    talk = Talk(tenant)
    talk.now = T0 + 3_600_000
    talk.hear("w0")

    for second in range(8):
        talk.now = T0 + second * 1_000
        talk.hear(f"w{second + 1}")

    assert talk.it.timers["burst"] == T0 + 8_000
