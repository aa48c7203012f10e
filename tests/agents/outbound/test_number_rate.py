from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.core.channel_stops import State, Stops
from agents.core.number_rate import HALVED_S, LOST_S, NumberRate
from agents.core.rate_queue import Queue, Rank, Waiting, rank_of
from agents.core.rate_window import SAMPLES, Window
from agents.core.whatsapp_errors import ErrorClass
from schemas.events import Author

AI = rank_of(Author.AI, 1_000)
PERSON = rank_of(Author.HUMAN, 9_000)


# The newest second


@given(
    st.lists(
        st.tuples(st.floats(0, 0.2), st.floats(0, 3), st.floats(0, 1)), min_size=1, max_size=150
    ),
    st.integers(1, 12),
)
def test_no_second_at_whatsapp_has_more_than_the_share(
    tries: list[tuple[float, float, float]], share: int
) -> None:
    """Each try: the time since the one before, how long the answer takes, when it is counted."""
    window, now, arrivals = Window(), 0.0, []
    answers: list[tuple[float, float]] = []
    for gap, takes, part in tries:
        now += gap
        for answered, began in sorted(each for each in answers if each[0] <= now):
            window.answered(began, answered)
        answers = [each for each in answers if each[0] > now]
        if window.carried(now) < share:
            window.begin()
            answers.append((now + takes, now))
            arrivals.append(now + takes * part)

    arrivals.sort()
    for place, first in enumerate(arrivals):
        within = [each for each in arrivals[place:] if each - first < 0.999_999]
        assert len(within) <= share


def test_a_message_counts_from_asking_until_a_second_after_its_answer() -> None:
    window = Window()
    window.begin()
    assert window.carried(5.0) == 1

    window.answered(0.0, 5.0)

    assert [window.carried(at) for at in (5.9, 6.0)] == [1, 0]


def test_what_was_not_sent_does_not_count() -> None:
    window = Window()
    window.begin()

    window.unsent()

    assert window.carried(0.0) == 0


def test_what_a_customer_writes_counts_for_a_second() -> None:
    window = Window()

    window.came(2.0)

    assert [window.carried(at) for at in (2.9, 3.0)] == [1, 0]


def test_the_way_there_and_back_is_not_counted_twice_once_it_is_known() -> None:
    window = Window()
    for trip in range(SAMPLES):
        window.begin()
        window.answered(trip * 10.0, trip * 10.0 + 0.25)

    window.begin()
    window.answered(1_000.0, 1_000.25)

    assert [window.carried(at) for at in (1_000.9, 1_001.0)] == [1, 0]


# Who goes first


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((Author.HUMAN, 9), (Author.AI, 1)),
        ((Author.AI, 9), (Author.AUTOMATION, 1)),
        ((Author.AI, 1), (Author.AI, 2)),
        ((Author.AUTOMATION, 9), (Author.UNKNOWN, 1)),
    ],
)
def test_people_go_first_and_then_who_has_the_least_time(
    first: tuple[Author, int], second: tuple[Author, int]
) -> None:
    queue = Queue()
    queue.put(rank_of(*second), "conv_2", "rate:b2", 0.0)
    queue.put(rank_of(*first), "conv_1", "rate:b1", 0.0)

    assert [queue.take(), queue.take(), queue.take()][0].bubble_id == "b1"  # type: ignore[union-attr]
    assert len(queue) == 0


def test_among_equals_the_first_goes_first_and_keeps_its_place() -> None:
    queue = Queue()
    for name in ("b1", "b2", "b3"):
        queue.put(AI, name, f"rate:{name}", 0.0)
    queue.put(AI, "b1", "held:b1", 1.0)
    queue.leave("b2")

    assert [each.timer for each in iter(queue.take, None)] == ["held:b1", "rate:b3"]


def test_who_has_become_more_urgent_goes_before_those_who_waited_longer() -> None:
    queue = Queue()
    queue.put(rank_of(Author.AUTOMATION, 1_000), "notice", "rate:notice", 0.0)
    queue.put(AI, "b1", "rate:b1", 0.0)

    queue.put(PERSON, "notice", "rate:notice", 1.0)

    assert [each.bubble_id for each in iter(queue.take, None)] == ["notice", "b1"]


def rate(share: int = 2) -> NumberRate:
    number = NumberRate()
    number.share, number.valid_until = share, 100.0
    return number


def test_a_queue_that_waits_for_a_day_grows_no_larger_than_who_waits() -> None:
    queue = Queue()
    for minute in range(1_440):
        for name in "abcde":
            queue.put((1, ord(name)), f"conv_{name}", f"held:{name}", minute * 60.0)

    assert len(pickle.dumps(queue)) < 10_000
    assert [queue.take(), len(queue)] == [Waiting((1, ord("a")), 1, "conv_a", "held:a", 86_340), 4]


def test_a_lease_that_lapsed_lets_nothing_go() -> None:
    number = rate()

    assert number.admits("b1", AI, 99.9)
    assert not number.admits("b1", AI, 100.0)


def test_nobody_overtakes_who_is_as_urgent() -> None:
    number = rate()
    number.queue.put(AI, "conv_1", "rate:b1", 0.0)

    assert not number.admits("b2", AI, 1.0)
    assert number.admits("b3", PERSON, 1.0)
    assert number.admits("b1", AI, 1.0)


def test_room_is_kept_for_those_who_were_let_go() -> None:
    number = rate(share=1)
    number.queue.put(AI, "conv_1", "rate:b1", 0.0)
    assert number.room(1.0) == 1
    assert number.release(1.0) is not None

    assert number.room(1.0) == 0
    assert not number.admits("b2", AI, 1.0)
    assert number.admits("b3", PERSON, 1.0)
    assert number.admits("b1", AI, 1.0)


def test_who_does_not_come_back_is_not_expected_for_ever() -> None:
    number = rate(share=1)
    number.queue.put(AI, "conv_1", "rate:b1", 0.0)
    number.release(1.0)

    number.forget_lost(1.0 + LOST_S)
    assert number.room(6.0) == 0
    number.forget_lost(1.1 + LOST_S)
    assert number.room(6.1) == 1


def test_nothing_is_wanted_for_those_who_do_not_come_back() -> None:
    number = rate()
    number.queue.put(AI, "conv_1", "rate:b1", 0.0)
    number.release(1.0)  # its conversation has gone to another worker

    assert number.wanted(1.0) == 2
    assert number.wanted(1.1 + LOST_S) == 0


def test_who_takes_long_to_come_back_is_let_go_earlier() -> None:
    number = rate(share=1)
    for turn in range(30):
        number.queue.put(AI, "conv_1", f"rate:b{turn}", 0.0)
        number.release(float(turn))
        number.admits(f"b{turn}", AI, turn + 0.3)
    assert number.lead == pytest.approx(0.3, abs=0.01)
    number.window.begin()
    number.window.answered(50.0, 50.0)

    assert [number.room(at) for at in (50.6, 50.8)] == [0, 1]
    assert not number.admits("b99", AI, 50.8)


def test_a_refusal_for_the_rate_halves_it_and_it_comes_back() -> None:
    number = rate(share=40)
    number.halve(10.0)

    shares = [number.most(at) for at in (10.0, 10.0 + HALVED_S / 2, 10.0 + HALVED_S)]
    assert shares == [20, 30, 40]


def test_who_waits_wants_more_than_it_has() -> None:
    number = rate()
    for name in range(8):
        number.queue.put(AI, "conv", f"rate:b{name}", 0.0)

    assert number.wanted(1.0) == 9


@given(st.lists(st.tuples(st.sampled_from(Author), st.integers(0, 5)), min_size=1, max_size=30))
def test_everyone_goes_in_the_order_of_rank(asked: list[tuple[Author, int]]) -> None:
    number = rate(share=len(asked))
    ranks: list[Rank] = [rank_of(*each) for each in asked]
    for place, rank in enumerate(ranks):
        number.queue.put(rank, "conv", f"rate:{place}", 0.0)

    gone = [each.rank for each in iter(lambda: number.release(1.0), None)]

    assert gone == sorted(ranks)


# Stops

OLD, NEW = (1, True), (2, True)


@pytest.mark.parametrize("kind", [ErrorClass.PAIR, ErrorClass.TRANSIENT, ErrorClass.BAD_REQUEST])
def test_a_refusal_of_one_bubble_stops_nobody_else(kind: ErrorClass) -> None:
    stops = Stops()
    stops.refused("n", kind, OLD, 0.0)

    assert stops.state("n", OLD, 0.0) is State.OPEN


def test_a_new_token_ends_a_stop_at_once() -> None:
    stops = Stops()
    stops.refused("n", ErrorClass.AUTH, OLD, 0.0)
    assert stops.state("n", OLD, 1.0) is State.STOPPED

    assert stops.state("n", NEW, 1.0) is State.OPEN
    assert stops.known == {}


def test_a_new_token_pays_no_bill() -> None:
    stops = Stops()
    stops.refused("n", ErrorClass.ACCOUNT, OLD, 0.0)

    assert stops.state("n", NEW, 1.0) is State.STOPPED


def test_when_the_time_is_over_one_tries_and_the_others_wait_for_it() -> None:
    stops = Stops()
    stops.refused("n", ErrorClass.SPAM, OLD, 0.0)

    assert stops.state("n", OLD, 59.9) is State.STOPPED
    assert stops.state("n", OLD, 60.0) is State.ONE
    stops.tries("n", 60.0)
    assert stops.state("n", OLD, 60.1) is State.STOPPED
    stops.refused("n", ErrorClass.SPAM, OLD, 61.0)
    assert stops.state("n", OLD, 180.9) is State.STOPPED  # twice as long
    assert stops.state("n", OLD, 181.0) is State.ONE
    stops.accepted("n")
    assert stops.state("n", OLD, 181.0) is State.OPEN


def test_many_that_are_refused_at_once_are_one_refusal() -> None:
    stops = Stops()
    for number in range(20):
        stops.refused("n", ErrorClass.RATE, OLD, number / 100)

    assert stops.state("n", OLD, 2.0) is State.ONE


def test_messages_of_many_numbers_that_are_refused_at_once_are_one_refusal_of_their_app() -> None:
    stops = Stops()
    for number in range(20):  # each number counts the versions of its own token
        version = NEW if number % 2 else OLD
        stops.refused("app:a", ErrorClass.RATE, version, number / 100)

    assert stops.state("app:a", OLD, 2.0) is State.ONE
    assert stops.state("app:a", NEW, 2.0) is State.ONE


def test_the_stops_do_not_grow_without_end() -> None:
    stops = Stops()
    for _ in range(100):
        stops.refused("n", ErrorClass.RATE, OLD, 0.0)
        stops.tries("n", 0.0)

    assert stops.known["n"].until == 60.0
