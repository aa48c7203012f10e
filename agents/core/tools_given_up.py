"""A call that the tools stage cannot handle: the model is told that it failed."""

from __future__ import annotations

from agents.core.toolcalls import UNKNOWN_RESULT, ToolCalls, completed, refused, stepped
from agents.core.turnevents import Moment
from agents.ports import Tool
from schemas.errors import Rejected
from schemas.events import ToolCallCompleted, ToolCallRequested


def given_up(
    state: ToolCalls | None, moment: Moment, tool: Tool | None, reason: str
) -> tuple[ToolCalls, tuple[ToolCallCompleted, ...]]:
    """Say what becomes of a call that went to the dead letters; the turn goes on with it.

    A tool that changes something may have done so before the call was given up.

    Args:
        state: The conversation's calls before; None at first.
        moment: The call that is given up, and when.
        tool: The tool that it names, if there is one.
        reason: Why it is given up, as a short code.

    Raises:
        Rejected: It is no call, or of another conversation: nothing is said about it.
    """
    call = moment.event
    if not isinstance(call, ToolCallRequested):
        raise Rejected("unexpected_event")
    current = stepped(state, call)
    if call.call_id in current.seen:
        return current, ()
    doubtful = tool is not None and tool.side_effect
    returned = refused(UNKNOWN_RESULT if doubtful else "failed", f"given_up:{reason}")
    return completed(current, call, returned, moment, side_effect=doubtful)
