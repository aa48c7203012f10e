from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from agents.ports import Accepted, Asked, NotSent, Receipt, Refused, Unknown, Withheld
from schemas.errors import Unavailable
from schemas.events import Author, Channel
from streams.permits import STORED_S, NumberPermits

NUMBER = "1122334455667"
AUTH = Refused(code=190, status=401)
T0 = 1_790_000_000_000


class Rows:
    """One worker's leases; the others' are given."""

    worker_id = "me"

    def __init__(self) -> None:
        self.others: dict[str, tuple[int, int]] = {}
        self.renewals: list[tuple[int, int]] = []
        self.down = False
        self.lost = False
        self.takes: Callable[[], None] = lambda: None

    async def renew(
        self,
        numbers: list[str],
        decide: Callable[[str, Mapping[str, tuple[int, int]]], tuple[int, int]],
        /,
    ) -> dict[str, int]:
        if self.down:
            raise Unavailable("postgres")
        taken = {number: decide(number, self.others) for number in numbers}
        self.takes()
        if self.lost:
            raise Unavailable("postgres")
        self.renewals += taken.values()
        return {number: share for number, (share, _) in taken.items()}

    async def leave(self) -> None:
        return


class Office:
    """Permits with a clock that is turned by hand, and the timers that they hasten."""

    def __init__(self, limit: int = 80) -> None:
        self.now = 1_000.0
        self.rows = Rows()
        self.channels = {
            NUMBER: Channel(phone_number_id=NUMBER, app_id="app", messages_per_second=limit)
        }
        self.permits = NumberPermits(
            self.rows, self.channels.get, clock=self, monotonic=lambda: self.now
        )
        self.permits.woken_by(self.hasten)
        self.armed: set[str] | None = None
        self.woken: list[str] = []
        self.deaf = False

    def now_ms(self) -> int:
        return T0 + round(self.now * 1000)

    async def hasten(self, _: str, timer: str) -> bool:
        if self.deaf:
            raise Unavailable("kafka")
        if self.armed is not None and timer not in self.armed:
            return False
        self.woken.append(timer)
        return True

    async def ask(self, name: str, author: Author = Author.AI, number: str = NUMBER) -> str:
        withheld = await self.permits.ask(self.asked(name, author, number))
        return withheld.reason if isinstance(withheld, Withheld) else ""

    @staticmethod
    def asked(name: str, author: Author = Author.AI, number: str = NUMBER) -> Asked:
        return Asked(
            conversation_id=f"conv_{name}",
            bubble_id=name,
            phone_number_id=number,
            author=author,
            deadline_ms=T0,
        )

    async def send(self, name: str, receipt: Receipt | None = None) -> str:
        reason = await self.ask(name)
        if not reason:
            self.permits.ended(self.asked(name), receipt or Accepted(wamid="w"))
        return reason

    async def wake(self) -> list[str]:
        self.woken = []
        await self.permits.wake()
        return self.woken


@pytest.fixture
def office() -> Office:
    return Office()


async def fill(office: Office) -> int:
    """Send until the share is used up."""
    count = 0
    while not await office.send(f"b{count}"):
        count += 1
        if office.permits.rates.known[NUMBER].room(office.now) <= 0:
            await office.permits.rates.renew()
    return count


async def test_a_worker_alone_uses_all_but_a_margin(office: Office) -> None:
    assert await fill(office) == 76
    assert await office.ask("late") == "number_rate"

    office.now += 1.0

    assert await office.wake() == ["rate:b76", "rate:late"]
    assert await office.ask("b76") == ""


async def test_what_others_have_is_theirs(office: Office) -> None:
    office.rows.others = {"other": (70, 100)}

    assert await fill(office) == 6


async def test_without_postgres_nobody_knows_what_may_be_sent(office: Office) -> None:
    assert await office.send("b1") == ""
    office.rows.down = True
    assert await office.send("b2") == ""  # the lease is still good

    office.now += 2.0

    with pytest.raises(Unavailable):
        await office.ask("b3")


async def test_a_smaller_share_holds_although_nobody_heard_that_it_was_written(
    office: Office,
) -> None:
    await fill(office)
    office.now += 1.0
    office.rows.others, office.rows.lost = {"other": (0, 300)}, True
    before = office.permits.rates.known[NUMBER].share

    with pytest.raises(Unavailable):
        await office.permits.rates.renew()

    assert before == 76
    assert office.permits.rates.known[NUMBER].most(office.now) < before


async def test_a_lease_is_good_from_before_it_was_asked_for(office: Office) -> None:
    def slow() -> None:
        office.now += 1.5

    office.rows.takes = slow
    await office.send("b1")

    assert office.permits.rates.known[NUMBER].leased(office.now + 0.4)
    assert not office.permits.rates.known[NUMBER].leased(office.now + 0.6)


async def test_a_number_without_a_limit_needs_no_lease() -> None:
    office = Office(limit=0)
    office.rows.down = True

    assert [await office.send(f"b{n}") for n in range(500)] == [""] * 500


async def test_a_number_that_nobody_knows_has_metas_default(office: Office) -> None:
    assert await office.ask("b1", number="999") == ""
    assert office.permits.rates.limit("999") == 80


async def test_what_customers_write_counts_too(office: Office) -> None:
    for _ in range(30):
        office.permits.came(NUMBER, office.now_ms())

    assert await fill(office) == 46


async def test_a_customers_message_of_long_ago_counts_no_more(office: Office) -> None:
    office.permits.came(NUMBER, office.now_ms() - 60_000)

    assert await fill(office) == 76


@pytest.mark.parametrize(
    ("receipt", "counts"),
    [
        (Accepted(wamid="w"), 1),
        (Refused(code=131026, status=400), 1),
        (Unknown(reason="timeout"), 1),
        (NotSent(reason="unreachable"), 0),
        (None, 0),
    ],
)
async def test_what_may_have_reached_whatsapp_counts(
    office: Office, receipt: Receipt | None, counts: int
) -> None:
    assert await office.ask("b1") == ""
    office.permits.ended(office.asked("b1"), receipt)

    assert office.permits.rates.known[NUMBER].window.carried(office.now) == counts


async def test_a_person_goes_before_the_ai_that_waits_longer(office: Office) -> None:
    count = await fill(office)
    await office.ask("ai")
    await office.ask("ana", Author.HUMAN)
    await office.ask("ad", Author.AUTOMATION)
    office.now += 1.0

    assert await office.wake() == ["rate:ana", f"rate:b{count}", "rate:ai", "rate:ad"]


async def test_a_timer_that_is_not_stored_yet_is_hastened_later(office: Office) -> None:
    await fill(office)
    office.armed = set()
    office.now += 1.0
    assert await office.wake() == []

    office.armed = None
    assert await office.wake() == ["rate:b76"]


async def test_who_could_not_be_woken_keeps_the_place_and_takes_no_room(office: Office) -> None:
    await fill(office)
    await office.ask("ana", Author.HUMAN)
    office.now += 1.0
    office.deaf = True
    for _ in range(3):
        with pytest.raises(Unavailable):
            await office.wake()

    office.deaf = False

    assert await office.wake() == ["rate:ana", "rate:b76"]


async def test_a_bubble_that_waits_no_more_is_forgotten(office: Office) -> None:
    await fill(office)
    office.armed = set()
    office.now += STORED_S
    await office.permits.rates.renew()
    await office.wake()

    assert len(office.permits.rates.known[NUMBER].queue) == 0


async def test_a_refusal_for_the_rate_makes_the_number_slower(office: Office) -> None:
    await fill(office)
    office.now += 2.0
    await office.permits.rates.renew()
    share = office.permits.rates.known[NUMBER].share

    await office.send("b76", Refused(code=130429, status=400))

    assert office.permits.rates.known[NUMBER].most(office.now) == share // 2


# Stops


async def test_a_token_that_is_refused_stops_the_number_for_everyone(office: Office) -> None:
    await office.send("b1", AUTH)

    assert await office.ask("b2") == "auth"
    assert await office.ask("ana", Author.HUMAN) == "auth"
    assert await office.ask("b3", number="another") == ""
    assert await office.wake() == []


async def test_a_new_token_lets_all_of_them_go_people_first(office: Office) -> None:
    await office.send("b1", AUTH)
    await office.ask("b2")
    await office.ask("ana", Author.HUMAN)

    office.channels[NUMBER] = Channel(phone_number_id=NUMBER, app_id="app", token_version=2)

    assert await office.wake() == ["held:ana", "held:b1", "held:b2"]
    assert await office.ask("ana", Author.HUMAN) == ""


async def test_a_token_that_was_replaced_during_the_request_is_used_at_once(
    office: Office,
) -> None:
    assert await office.ask("b1") == ""
    office.channels[NUMBER] = Channel(phone_number_id=NUMBER, app_id="app", token_version=2)
    office.permits.ended(office.asked("b1"), AUTH)

    assert await office.wake() == ["held:b1"]


async def test_a_number_that_was_switched_off_goes_on_when_it_is_switched_on(
    office: Office,
) -> None:
    off = Channel(phone_number_id=NUMBER, app_id="app", active=False)
    office.channels[NUMBER] = off
    await office.send("b1", NotSent(reason="no_token"))
    assert await office.ask("b2") == "auth"

    office.channels[NUMBER] = Channel(phone_number_id=NUMBER, app_id="app")

    assert await office.wake() == ["held:b1", "held:b2"]


async def test_without_a_new_token_one_bubble_tries_now_and_then(office: Office) -> None:
    await office.send("b1", AUTH)
    await office.ask("b2")
    office.now += 31.0
    await office.permits.rates.renew()

    assert await office.wake() == ["held:b1"]
    assert await office.wake() == []
    assert await office.send("b1") == ""
    assert await office.wake() == ["held:b2"]


async def test_a_stopped_account_is_tried_again_however_many_it_ends_meanwhile(
    office: Office,
) -> None:
    await office.send("b0", Refused(code=368, status=400))
    office.armed = set()  # the gate ends each of them at once
    for number in range(1, 60):
        office.now += 1.0
        assert await office.send(f"b{number}") == "account"
        assert await office.wake() == []
    office.now += 1.0
    await office.permits.rates.renew()

    assert await office.send("b60") == ""
    assert await office.send("b61") == ""


async def test_who_could_try_a_stopped_account_waits_for_room_of_its_number(
    office: Office,
) -> None:
    await office.send("b0", Refused(code=368, status=400))
    office.now += 60.0
    office.rows.others = {"other": (76, 100)}  # it heard before us that all is well

    assert await office.ask("b1") == "number_rate"

    office.now += 1.0
    office.rows.others = {}
    await office.permits.rates.renew()
    assert await office.wake() == ["rate:b1"]
    assert await office.send("b1") == ""


@pytest.mark.parametrize(
    "receipt",
    [
        None,  # a takeover was written down before its claim
        NotSent(reason="unreachable"),
        Refused(code=131026, status=400),
        Refused(code=131056, status=400),
    ],
)
async def test_who_tries_and_learns_nothing_of_the_stop_lets_the_next_one_try(
    office: Office, receipt: Receipt | None
) -> None:
    await office.send("b0", Refused(code=368, status=400))
    office.now += 60.0
    await office.permits.rates.renew()
    assert await office.ask("b1") == ""
    assert await office.ask("b2") == "account"  # one at a time

    office.permits.ended(office.asked("b1"), receipt)

    assert await office.ask("b3") == ""
    assert await office.ask("b4") == "account"


async def test_who_was_on_the_way_when_a_number_was_stopped_lets_nobody_try(
    office: Office,
) -> None:
    assert [await office.ask(name) for name in ("b0", "b1")] == ["", ""]
    office.permits.ended(office.asked("b0"), Refused(code=368, status=400))

    office.permits.ended(office.asked("b1"), Refused(code=131026, status=400))

    assert await office.ask("b2") == "account"


async def test_a_customer_in_a_country_that_is_not_served_stops_nobody_else(
    office: Office,
) -> None:
    await office.send("b0", Refused(code=130497, status=403))

    assert await office.ask("b1") == ""


async def test_a_limit_of_the_app_stops_its_other_numbers(office: Office) -> None:
    office.channels["second"] = Channel(phone_number_id="second", app_id="app")
    office.channels["foreign"] = Channel(phone_number_id="foreign", app_id="other")
    await office.send("b1", Refused(code=80007, status=400))

    assert await office.ask("b2", number="second") == "rate"
    assert await office.ask("b3", number="foreign") == ""


async def test_who_was_let_go_into_a_stop_is_let_go_again_when_it_is_over(office: Office) -> None:
    await fill(office)
    assert await office.ask("b77") == "number_rate"
    office.now += 1.0
    await office.permits.rates.renew()
    assert await office.wake() == ["rate:b76", "rate:b77"]
    await office.send("b76", Refused(code=80007, status=400))
    assert await office.ask("b77") == "rate"

    office.now += 2.0
    await office.permits.rates.renew()

    assert await office.wake() == ["held:b77"]


async def test_what_waits_for_its_app_is_not_told_that_its_account_is_stopped(
    office: Office,
) -> None:
    office.channels["second"] = Channel(phone_number_id="second", app_id="app")
    await office.send("b1", Refused(code=368, status=400))
    office.now += 60.0  # the account may be tried again
    await office.permits.rates.renew()
    assert await office.ask("b2", number="second") == ""
    second = office.asked("b2", number="second")
    office.permits.ended(second, Refused(code=80007, status=400))

    assert await office.ask("b3") == "rate"


async def test_a_try_that_meets_the_limit_of_the_app_says_nothing_of_the_account(
    office: Office,
) -> None:
    await office.send("b0", Refused(code=368, status=400))
    office.now += 60.0
    await office.permits.rates.renew()

    assert await office.send("b1", Refused(code=80007, status=400)) == ""

    assert await office.ask("b2") == "rate"  # it waits: nobody knows that its account is stopped
    office.now += 2.0
    await office.permits.rates.renew()
    assert await office.ask("b2") == ""


async def test_a_try_that_meets_a_refused_token_says_nothing_of_the_limit_of_the_app(
    office: Office,
) -> None:
    office.channels["second"] = Channel(phone_number_id="second", app_id="app")
    await office.send("b0", Refused(code=80007, status=400))
    office.now += 2.0

    assert await office.send("b1", AUTH) == ""

    assert await office.ask("b2", number="second") == ""


async def test_a_stopped_number_without_a_limit_wakes_its_bubbles_too() -> None:
    office = Office(limit=0)
    await office.send("b1", AUTH)
    await office.ask("b2")
    assert await office.wake() == []

    office.channels[NUMBER] = Channel(
        phone_number_id=NUMBER, app_id="app", token_version=2, messages_per_second=0
    )

    assert await office.wake() == ["held:b1", "held:b2"]
