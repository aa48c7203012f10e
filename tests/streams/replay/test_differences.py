"""What a difference shows of what people wrote."""

from __future__ import annotations

import pytest

from schemas.changing import replace
from schemas.events import Fact, MemoryUpdateRequested
from schemas.examples import examples
from streams.replay.differences import first

REMEMBERED = next(e.event for e in examples() if isinstance(e.event, MemoryUpdateRequested))
ADDRESS = "Rua das Flores, 7"


@pytest.mark.parametrize(("show_text", "shown"), [(False, False), (True, True)])
def test_what_is_private_stays_hidden_in_lists_of_another_length(
    show_text: bool, shown: bool
) -> None:
    fact = Fact(name="address", value=ADDRESS)
    recorded = replace(REMEMBERED, facts=(fact,))
    replayed = replace(REMEMBERED, facts=())

    found = first(1, recorded, replayed, show_text=show_text)

    assert found is not None
    assert found.what == "memory.update.requested facts"
    assert (ADDRESS in found.line) is shown


def test_a_difference_inside_a_list_is_named_by_its_place() -> None:
    facts = [Fact(name="address", value=ADDRESS), Fact(name="size", value="42")]
    recorded = replace(REMEMBERED, facts=tuple(facts))
    replayed = replace(REMEMBERED, facts=(facts[0], Fact(name="shoe size", value="42")))

    found = first(1, recorded, replayed, show_text=False)

    assert found is not None
    assert found.line == (
        'step 1: memory.update.requested facts.1.name: recorded "size", replayed "shoe size"'
    )
