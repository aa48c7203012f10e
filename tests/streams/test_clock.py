from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import Misconfigured
from streams.clock import FASTEST, MovableClock, SkewedClock, WallClock, open_clock
from streams.settings import Settings

DAY_MS = 86_400_000
LOCAL = "http://127.0.0.1:8100/v25.0"


class Wall:
    def __init__(self) -> None:
        self.now = 1_700_000_000_000

    def now_ms(self) -> int:
        return self.now


@pytest.fixture
def wall() -> Wall:
    return Wall()


@pytest.fixture
def clock(tmp_path: Path, wall: Wall) -> MovableClock:
    return MovableClock(tmp_path / "run" / "clock", wall=wall)


def test_a_new_clock_shows_the_machines_time(clock: MovableClock, wall: Wall) -> None:
    before = clock.now_ms()
    wall.now += 1234

    assert (before, clock.now_ms() - before, clock.ahead_ms) == (1_700_000_000_000, 1234, 0)


def test_all_who_read_a_clock_see_it_moved_at_once(
    clock: MovableClock, wall: Wall, tmp_path: Path
) -> None:
    other = MovableClock(tmp_path / "run" / "clock", wall=wall)

    clock.move(by_ms=7 * DAY_MS)

    assert other.now_ms() == clock.now_ms() == wall.now + 7 * DAY_MS


def test_another_process_sees_it_moved(tmp_path: Path) -> None:
    path = tmp_path / "clock"
    clock = MovableClock(path)
    code = (
        "from pathlib import Path; from streams.clock import MovableClock;"
        f"clock = MovableClock(Path({str(path)!r})); input(); print(clock.ahead_ms)"
    )
    reader = subprocess.Popen(  # noqa: S603 - our own code
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )

    clock.move(by_ms=DAY_MS)

    assert int(reader.communicate("\n", timeout=60)[0]) == DAY_MS


def test_a_clock_goes_on_where_it_was_when_its_speed_changes(
    clock: MovableClock, wall: Wall
) -> None:
    clock.move(speed=10)
    wall.now += 1000
    clock.move(speed=1)
    wall.now += 1000

    assert clock.ahead_ms == 9000
    assert clock.speed == 1


def test_a_clock_keeps_its_time_over_a_restart(clock: MovableClock, wall: Wall) -> None:
    clock.move(by_ms=DAY_MS)
    clock.close()

    assert MovableClock(clock.path, wall=wall).ahead_ms == DAY_MS


@pytest.mark.parametrize("move", [{"by_ms": -1}, {"speed": 0}, {"speed": -1}, {"speed": 61}])
def test_a_clock_never_goes_back_nor_too_fast(clock: MovableClock, move: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="only goes forward"):
        clock.move(**move)

    assert clock.ahead_ms == 0


@given(
    st.lists(
        st.tuples(st.integers(0, DAY_MS), st.integers(0, 10 * DAY_MS), st.floats(0.1, FASTEST)),
        max_size=20,
    )
)
def test_however_it_is_moved_it_never_goes_back(
    tmp_path_factory: pytest.TempPathFactory, moves: list[tuple[int, int, float]]
) -> None:
    wall = Wall()
    clock = MovableClock(tmp_path_factory.mktemp("clock") / "clock", wall=wall)
    seen = [clock.now_ms()]
    for passed_ms, by_ms, speed in moves:
        wall.now += passed_ms
        seen.append(clock.now_ms())
        clock.move(by_ms=by_ms, speed=speed)
        seen.append(clock.now_ms())

    assert seen == sorted(seen)


def test_a_file_that_is_no_clock_is_refused(tmp_path: Path) -> None:
    (tmp_path / "clock").write_text("three o'clock")

    with pytest.raises(Misconfigured, match="is no clock"):
        MovableClock(tmp_path / "clock")


def test_the_machines_clock_is_the_usual_one() -> None:
    assert isinstance(open_clock(Settings()), WallClock)


def test_a_clock_that_is_wrong_is_wrong_by_what_was_asked_for(tmp_path: Path) -> None:
    settings = Settings(
        clock_file=str(tmp_path / "clock"), clock_skew_ms=3_600_000, whatsapp_api_url=LOCAL
    )
    clock = open_clock(settings)

    assert isinstance(clock, SkewedClock)
    assert round((clock.now_ms() - WallClock().now_ms()) / 60_000) == 60


@pytest.mark.parametrize(
    "url",
    [
        "https://graph.facebook.com/v25.0",
        "https://127.0.0.1.example.com/v25.0",
        "http://10.0.0.7:8100/v25.0",
        "http://simulator:8100/v25.0",
    ],
)
@pytest.mark.parametrize("wrong", [{"clock_file": "/nowhere/clock"}, {"clock_skew_ms": 1}])
def test_only_a_simulator_on_this_machine_may_have_a_clock_that_is_wrong(
    url: str, wrong: dict[str, int]
) -> None:
    settings = Settings(whatsapp_api_url=url).model_copy(update=wrong)

    with pytest.raises(Misconfigured, match="real customers would get wrong answers"):
        open_clock(settings)


@pytest.mark.parametrize("url", [LOCAL, "http://localhost:8100/v25.0", "http://[::1]:8100/v25.0"])
def test_a_simulator_on_this_machine_may_move_the_clock(url: str, tmp_path: Path) -> None:
    settings = Settings(clock_file=str(tmp_path / "clock"), whatsapp_api_url=url)

    assert isinstance(open_clock(settings), MovableClock)
