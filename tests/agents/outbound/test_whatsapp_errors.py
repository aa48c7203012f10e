from __future__ import annotations

import pytest

from agents.core.whatsapp_errors import (
    CLASSES,
    POLICIES,
    Action,
    ErrorClass,
    classify,
    wait_ms,
)


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        (131056, 400, ErrorClass.PAIR),  # the code decides, not the status
        (130429, 400, ErrorClass.NUMBER_RATE),
        (190, 401, ErrorClass.AUTH),
        (250, 403, ErrorClass.AUTH),
        (299, 403, ErrorClass.AUTH),
        (300, 400, ErrorClass.BAD_REQUEST),  # not in the range, not in the table
        (0, 401, ErrorClass.AUTH),  # "cannot authenticate"
        (0, 500, ErrorClass.TRANSIENT),  # an answer without a code
        (0, 429, ErrorClass.NUMBER_RATE),
        (0, 400, ErrorClass.BAD_REQUEST),
        (999_999, 500, ErrorClass.TRANSIENT),
        (999_999, 404, ErrorClass.BAD_REQUEST),
        (131047, 400, ErrorClass.WINDOW),
        (368, 400, ErrorClass.ACCOUNT),
        (133010, 400, ErrorClass.ACCOUNT),  # the number was taken off the platform
        (130497, 403, ErrorClass.UNDELIVERABLE),  # this customer's country, not the account
    ],
)
def test_a_refusal_has_one_class(code: int, status: int, kind: ErrorClass) -> None:
    assert classify(code, status) is kind


def test_every_class_has_a_policy_and_a_code() -> None:
    assert set(POLICIES) == set(ErrorClass)
    assert set(CLASSES.values()) == set(ErrorClass)


@pytest.mark.parametrize("kind", [k for k in ErrorClass if POLICIES[k].action is not Action.FAIL])
@pytest.mark.parametrize("refusals", [1, 2, 5, 100])
def test_waits_grow_to_their_longest_with_a_jitter_that_follows_from_the_bubble(
    kind: ErrorClass, refusals: int
) -> None:
    policy = POLICIES[kind]
    plain = min(policy.longest_ms, policy.base_ms * policy.factor ** (refusals - 1))

    waits = [wait_ms(policy, refusals, f"b{number}") for number in range(50)]

    assert all(plain <= wait <= plain * 1.5 for wait in waits)
    assert len(set(waits)) > 25
    assert waits == [wait_ms(policy, refusals, f"b{number}") for number in range(50)]


# The door
