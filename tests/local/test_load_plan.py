from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from schemas.events import OutcomeKind
from streams.local.load.plan import WEIGHTS, Sort, message_object, plan


@given(st.integers(1, 40), st.integers(0, 300), st.integers(0, 5))
def test_a_plan_has_as_many_messages_as_asked(conversations: int, messages: int, seed: int) -> None:
    made = plan(conversations, messages, run="r", seed=seed)

    assert sum(map(len, made)) == messages
    assert len({message.customer for each in made for message in each}) == len(made)


@given(st.integers(0, 5))
def test_a_duplicate_repeats_an_earlier_message_of_its_conversation(seed: int) -> None:
    for conversation in plan(5, 200, run="r", seed=seed):
        seen: list[str] = []
        for place, message in enumerate(conversation, 1):
            if message.sequence == place:
                assert message.wamid not in seen
                seen.append(message.wamid)
            else:
                assert message.wamid in seen


def test_equal_seeds_make_equal_plans_and_runs_have_their_own_customers() -> None:
    assert plan(3, 30, run="a", seed=1) == plan(3, 30, run="a", seed=1)
    assert plan(3, 30, run="a", seed=1) != plan(3, 30, run="a", seed=2)
    ours = {message.customer for each in plan(3, 30, run="a", seed=1) for message in each}
    theirs = {message.customer for each in plan(3, 30, run="b", seed=1) for message in each}
    assert not ours & theirs


def test_every_sort_of_message_occurs() -> None:
    every = [message for each in plan(40, 800, run="r", seed=1) for message in each]

    assert {message.sort for message in every} == set(WEIGHTS) - {Sort.DUPLICATE} | {
        Sort.WANTS_PERSON
    }
    assert len({message.wamid for message in every}) < len(every)


def test_a_customer_who_asks_for_a_person_says_nothing_more() -> None:
    for conversation in plan(40, 400, run="r", seed=1):
        places = [i for i, m in enumerate(conversation) if m.sort is Sort.WANTS_PERSON]
        assert places in ([], [len(conversation) - 1])


def test_a_message_is_written_as_whatsapp_writes_it() -> None:
    every = [message for each in plan(20, 400, run="r", seed=1) for message in each]
    question = next(message for message in every if message.sort is Sort.QUESTION)
    reaction = next(message for message in every if message.sort is Sort.REACTION)

    assert message_object(question, 1_700_000_000_123) == {
        "from": question.customer,
        "id": question.wamid,
        "timestamp": "1700000000",
        "type": "text",
        "text": {"body": question.text},
    }
    assert message_object(reaction, 0)["reaction"] == {
        "message_id": reaction.target,
        "emoji": "👍",
    }
    assert reaction.expects == {OutcomeKind.IGNORED}
