from __future__ import annotations

import os
import pwd

import pytest

from schemas.errors import Misconfigured
from streams.local.stack.part import User
from streams.local.stack.postgres import run_as


def become(monkeypatch: pytest.MonkeyPatch, uid: int, users: list[tuple[str, int]]) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    monkeypatch.setattr(pwd, "getpwall", lambda: [entry(*user) for user in users])
    monkeypatch.setattr(pwd, "getpwuid", {uid: name for name, uid in users}.__getitem__)


def entry(name: str, uid: int) -> pwd.struct_passwd:
    return pwd.struct_passwd((name, "x", uid, uid + 1, "", "/", "/bin/false"))


@pytest.mark.parametrize(
    ("uid", "users", "chosen"),
    [
        (1000, [("root", 0), ("ana", 1000)], None),
        (0, [("root", 0), ("ana", 1000), ("nobody", 65534)], User(65534, 65535)),
        (0, [("root", 0), ("nobody", 65534), ("postgres", 70)], User(70, 71)),
        (0, [("root", 0), ("ana", 1000)], User(1000, 1001)),
    ],
)
def test_postgres_never_runs_as_root(
    monkeypatch: pytest.MonkeyPatch,
    uid: int,
    users: list[tuple[str, int]],
    chosen: User | None,
) -> None:
    become(monkeypatch, uid, users)
    assert run_as() == chosen


@pytest.mark.parametrize("uid", [0, 4242])
def test_a_machine_where_postgres_cannot_run_is_told_what_to_do(
    monkeypatch: pytest.MonkeyPatch, uid: int
) -> None:
    become(monkeypatch, uid, [("root", 0)])
    with pytest.raises(Misconfigured, match="POSTGRES_DSN"):
        run_as()
