from __future__ import annotations

import socket

from streams.local.stack.ports import RANGE, choose, is_free


def test_every_name_has_a_port_of_its_own() -> None:
    chosen = choose([f"part-{number}" for number in range(20)], {})
    assert len(set(chosen.values())) == 20
    assert all(port in RANGE for port in chosen.values())


def test_a_wanted_port_that_is_free_is_kept() -> None:
    first = choose(["kafka", "redis"], {})
    assert choose(["kafka", "redis"], first) == first


def test_a_wanted_port_that_is_taken_is_replaced() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        taken = server.getsockname()[1]
        assert not is_free(taken)
        assert choose(["kafka"], {"kafka": taken})["kafka"] != taken


def test_two_names_that_want_the_same_port_do_not_share_it() -> None:
    (port,) = choose(["a"], {}).values()
    chosen = choose(["a", "b"], {"a": port, "b": port})
    assert chosen["a"] == port != chosen["b"]
