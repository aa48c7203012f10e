from __future__ import annotations

import pytest
from msgspec.structs import fields

from schemas.changing import replace
from schemas.events import SettingsChanged
from streams.local.bench.pipeline import BEHIND_S, P99_MS, WINDOW_S, Step

STEP = Step(
    rate=50,
    sent=3000,
    sending_s=60.0,
    overheads_ms=[20] * 98 + [60] * 2,
    behind_s=4.0,
    violations=0,
    cpu_ms={"worker": 8.0},
)


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        pytest.param(STEP, True, id="kept up"),
        pytest.param(replace(STEP, behind_s=WINDOW_S + BEHIND_S + 0.1), False, id="backlog"),
        pytest.param(replace(STEP, overheads_ms=[20] * 98 + [P99_MS + 1] * 2), False, id="slow"),
        pytest.param(replace(STEP, overheads_ms=[20] * 99 + [P99_MS + 1]), True, id="one slow"),
        pytest.param(replace(STEP, sending_s=66.0), False, id="less went in than asked for"),
        pytest.param(replace(STEP, violations=1), False, id="a broken rule"),
    ],
)
def test_a_rate_is_sustained_when_the_pipeline_kept_up_and_kept_its_word(
    step: Step, expected: bool
) -> None:
    assert step.sustained is expected


def test_a_rate_at_which_no_turn_could_be_measured_is_not_sustained() -> None:
    assert not replace(STEP, overheads_ms=[]).sustained


def test_the_window_that_is_waited_for_is_the_longest_of_a_tenant_as_it_comes() -> None:
    defaults = {field.name: field.default for field in fields(SettingsChanged)}

    assert defaults["burst_max_ms"] == WINDOW_S * 1000
