"""Tags of the helpdesk: those that the tenant names give a conversation to people while on it."""

from __future__ import annotations

from agents.core.dispatch_people import take_over
from agents.core.dispatch_return import give_back
from agents.core.dispatch_step import Step
from agents.core.intent import plain
from schemas.events import ControlRequested, Phase


def tag(step: Step, event: ControlRequested, _: str) -> None:
    """Take the conversation over when the tenant names this tag; other tags mean nothing here.

    A pause goes on: the tag alone may be taken off before its end, and holds it after that. Whoever
    has the conversation keeps it when it is not known who put the tag on.
    """
    name = plain(event.tag)
    wanted = map(plain, step.settings.takeover_tags if step.settings else ())
    if not name or name not in wanted:
        step.decided("tag_ignored", "not_configured")
        return
    step.change(tags=tuple(dict.fromkeys((*step.state.tags, name))))
    if step.state.phase is Phase.PAUSED:
        step.decided("tagged", f"phase:{step.state.phase}")
        return
    take_over(step, event.agent_user or step.state.agent_user, "tag")


def untag(step: Step, event: ControlRequested, _: str) -> None:
    """Give the conversation back to the AI when the last tag that held it is off."""
    name = plain(event.tag)
    if name not in step.state.tags:
        step.decided("untag_ignored", "not_tagged")
        return
    step.change(tags=tuple(each for each in step.state.tags if each != name))
    if step.state.tags or step.state.phase is not Phase.WITH_HUMAN:
        step.decided("untagged", "tagged" if step.state.tags else f"phase:{step.state.phase}")
        return
    give_back(step, "untag")
