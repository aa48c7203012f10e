"""Edits and revokes that are delivered before the message that they change."""

from __future__ import annotations

import pytest

from agents.core.dispatch_amend import EARLY, EARLY_MS
from schemas.events import ConversationChanged, MessageKind, OutcomeKind, Phase
from tests.agents.dispatch.talk import T0, Talk

MINUTE_MS = 60_000


def edit(talk: Talk, target: str, text: str, wamid: str, sent_ms: int = T0) -> ConversationChanged:
    return talk.hear(wamid, text, kind=MessageKind.EDIT, target_wamid=target, sent_at=sent_ms)


def revoke(talk: Talk, target: str, wamid: str, sent_ms: int = T0) -> ConversationChanged:
    return talk.hear(wamid, None, kind=MessageKind.REVOKE, target_wamid=target, sent_at=sent_ms)


def test_a_message_that_was_taken_back_before_it_came_is_not_answered() -> None:
    talk = Talk()

    early = revoke(talk, "w1", "r1")
    ended = talk.hear("w1", "esquece")

    assert [(each.wamid, each.reason) for each in early.outcomes] == [("r1", "early:revoke")]
    assert [(each.wamid, each.kind, each.reason) for each in ended.outcomes] == [
        ("w1", OutcomeKind.IGNORED, "revoked")
    ]
    assert (talk.it.phase, talk.it.timers, talk.it.unread) == (Phase.IDLE, {}, 0)
    assert talk.it.early == ()
    assert talk.it.window_expires_ms, "the customer wrote all the same"


def test_a_message_that_was_edited_before_it_came_is_answered_in_its_new_words() -> None:
    talk = Talk()
    edit(talk, "w1", "e este?", "e1")

    talk.hear("w1", "serve este?", kind=MessageKind.IMAGE)
    talk.fire("burst")

    assert talk.started[-1].question == "[imagem] e este?"
    assert talk.it.early == ()


@pytest.mark.parametrize("first", [0, 1])
def test_the_newest_of_several_edits_counts_in_whatever_order_they_come(first: int) -> None:
    talk = Talk()
    edits = [("quero dois", "e1", T0), ("quero três", "e2", T0 + MINUTE_MS)]
    for text, wamid, sent_ms in (edits[first], edits[1 - first]):
        edit(talk, "w1", text, wamid, sent_ms)

    talk.hear("w1", "quero um")
    talk.fire("burst")

    assert talk.started[-1].question == "quero três"


def test_who_edits_and_then_takes_back_is_not_answered_in_whatever_order_it_comes() -> None:
    talk = Talk()
    revoke(talk, "w1", "r1", T0 + MINUTE_MS)
    edit(talk, "w1", "quero dois", "e1")

    assert talk.hear("w1", "quero um").reason == "revoked"


def test_others_are_not_changed_by_it() -> None:
    talk = Talk()
    revoke(talk, "w1", "r1")

    talk.hear("w2", "bom dia")
    talk.hear("w1", "esquece")
    talk.fire("burst")

    assert talk.started[-1].question == "bom dia"


def test_a_bounded_number_waits_for_a_bounded_time() -> None:
    talk = Talk()
    for number in range(EARLY + 1):
        edit(talk, f"w{number}", "?", f"e{number}")
    assert [each.wamid for each in talk.it.early] == [f"w{n}" for n in range(1, EARLY + 1)]

    talk.now += EARLY_MS + 1
    edit(talk, "w9", "?", "e9", talk.now)

    assert [each.wamid for each in talk.it.early] == ["w9"]
