from __future__ import annotations

from typing import Any

import pytest

from agents.core.aiagents import PROFILES
from agents.toolbox import box, shipped
from schemas.errors import Misconfigured
from tests.agents.ai.samples import Bench
from tests.agents.toolbox.shop import Shop


def test_every_tool_of_a_profile_ships_and_every_tool_has_the_users_of_the_table() -> None:
    tools = shipped(Shop())

    table = {(agent, tool) for agent, profile in PROFILES.items() for tool in profile.tools}
    assert {(agent, tool.name) for tool in tools.values() for agent in tool.agents} == table


def test_tools_that_change_something_say_so() -> None:
    writes = {name for name, tool in shipped(Shop()).items() if tool.side_effect}

    assert writes == {"open_ticket", "transfer_to_person"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "Bad Name"}, "lower case"),
        ({"agents": ()}, "no agent"),
        ({"parameters": {"type": "nonsense"}}, "schema"),
        ({"parameters": {"type": "object"}}, "does not know"),
    ],
)
def test_a_malformed_tool_is_refused_before_anything_starts(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(Misconfigured, match=message):
        box(Bench().tool(**changes))


def test_two_tools_with_one_name_are_refused() -> None:
    with pytest.raises(Misconfigured, match="two tools"):
        box(Bench().tool(), Bench().tool())
