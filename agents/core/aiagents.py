"""The AI's agents: what each one is told, and the tools that it may use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One agent of the AI.

    Attributes:
        name: Its name in ``to_agent`` of a hand-off.
        instructions: What it is for, as the model reads it.
        tools: Names of the tools that it may use; every other one is refused.
    """

    name: str
    instructions: str
    tools: tuple[str, ...]


TRANSFER: Final = "transfer_to_person"
"""The tool whose completion gives the conversation to a person."""

PROFILES: Final[Mapping[str, Profile]] = {
    profile.name: profile
    for profile in (
        Profile(
            name="triage",
            instructions=(
                "Find out what the customer needs and answer general questions:"
                " opening hours, delivery, payment, how the business works."
            ),
            tools=("search_catalogue", "order_status", TRANSFER),
        ),
        Profile(
            name="sales",
            instructions=(
                "Help the customer to choose and buy. Look products up before you name a price"
                " or say that something is in stock; never promise a discount."
            ),
            tools=("search_catalogue", TRANSFER),
        ),
        Profile(
            name="support",
            instructions=(
                "Help with orders that were placed: status, delivery, exchange, warranty."
                " Open a ticket when the customer reports a defect or asks for an exchange."
            ),
            tools=("order_status", "open_ticket", TRANSFER),
        ),
    )
}
"""The agents by name: one row for each."""


def users_of(tool: str, profiles: Mapping[str, Profile] = PROFILES) -> tuple[str, ...]:
    """Return the names of the agents that may use a tool."""
    return tuple(name for name, profile in profiles.items() if tool in profile.tools)
