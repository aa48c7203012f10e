"""Starting while something that is needed is not there yet."""

from __future__ import annotations

import pytest

from schemas.errors import Misconfigured, Refusing, Unavailable
from streams import patience
from streams.patience import patiently


class Busy:
    """Answers at its third call."""

    def __init__(self) -> None:
        self.calls = 0

    async def __call__(self) -> str:
        self.calls += 1
        if self.calls < 3:
            raise Unavailable("registry")
        return "there"


async def test_what_does_not_answer_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "RETRY_S", 0.0)

    assert await patiently("schemas", Busy()) == "there"


async def test_a_start_with_a_limit_says_at_its_end_what_is_missing() -> None:
    busy = Busy()

    with pytest.raises(Unavailable, match="registry"):
        await patiently("schemas", busy, limit_s=0.0)
    assert busy.calls == 1


@pytest.mark.parametrize(
    "wrong", [Misconfigured("no such topic"), Refusing("postgres", "no such password")]
)
async def test_a_wrong_setting_is_not_waited_for(wrong: Misconfigured) -> None:
    async def ask() -> None:
        raise wrong

    with pytest.raises(Misconfigured, match="no such"):
        await patiently("a start", ask)


async def test_whoever_looks_is_told_what_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "RETRY_S", 0.0)
    said: list[str] = []

    await patiently("schemas", Busy(), told=said.append)

    waiting = "schemas: waiting for registry"
    assert said == ["schemas", waiting, "schemas", waiting, "schemas"]
