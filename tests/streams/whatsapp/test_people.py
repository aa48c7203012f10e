from __future__ import annotations

import json
from typing import Any

import pytest

from schemas.events import Person
from streams.whatsapp import Message, Status, identifiers, parse
from streams.whatsapp.people import person
from tests.streams.webhook.world import change, envelope, text

USER = "BR.13491208655302741918"


def part(**value: Any) -> Any:
    (found,) = parse(json.dumps(envelope(change(**value))).encode())
    return found


def names_of(own: Any, **value: Any) -> tuple[str, ...]:
    found = part(messages=[{**text("w"), **own}], **value)
    assert isinstance(found, Message)
    return found.identifiers


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("5511987654321", "551187654321", True),  # Brazil, with and without the ninth digit
        ("5561999990000", "556199990000", True),
        ("5511912345678", "551112345678", True),
        ("5511934567890", "551134567890", False),  # without the 9 it is a landline
        ("5215512345678", "525512345678", True),  # Mexico, with and without the 1
        ("5511987654321", "5511987654322", False),
        ("15551234567", "5551234567", False),
        ("+55 11 98765-4321", "5511987654321", True),
    ],
)
def test_two_spellings_of_one_telephone_are_one_name(one: str, other: str, same: bool) -> None:
    assert (identifiers(person(one)) == identifiers(person(other))) is same


def test_the_number_to_send_to_stays_as_whatsapp_wrote_it() -> None:
    assert person("5511987654321").wa_id == "5511987654321"


@pytest.mark.parametrize(
    ("own", "contacts", "names"),
    [
        ({"from": "1"}, [], ("wa:1",)),
        ({"from": "1", "from_user_id": USER}, [], ("wa:1", f"user:{USER}")),
        ({"from": USER}, [], (f"user:{USER}",)),
        ({"from": "", "from_user_id": USER}, [], (f"user:{USER}",)),
        ({"from": None}, [{"user_id": "BSUID_123"}], ("user:BSUID_123",)),
        ({"from": None}, [{"wa_id": USER}], (f"user:{USER}",)),
        ({"from": "1"}, [{"wa_id": "1", "user_id": USER}], ("wa:1", f"user:{USER}")),
        ({"from": "5511987654321"}, [{"wa_id": "551187654321", "user_id": USER}],
         ("wa:551187654321", f"user:{USER}")),
        # Another person's contact entry is not the sender's.
        ({"from": "1"}, [{"wa_id": "2", "user_id": USER}], ("wa:1",)),
        ({"from": "1"}, [{"wa_id": "2"}, {"wa_id": "1", "user_id": USER}],
         ("wa:1", f"user:{USER}")),
        # `from` is the business number itself: the contact is the customer.
        ({"from": "1122334455667"}, [{"wa_id": "2"}], ("wa:2",)),
        ({"from": "15550000000"}, [{"wa_id": "2"}], ("wa:2",)),
        ({"from": "1122334455667"}, [], ("wa:1122334455667",)),
        # Nobody at all.
        ({"from": None}, [], ()),
        ({"from": ""}, [{"wa_id": "", "user_id": ""}], ()),
        ({"from": None}, [{"wa_id": "1"}, {"wa_id": "2"}], ()),
        ({"from": None}, "nonsense", ()),
        ({"from": "1"}, [None, 5, {"wa_id": {}}], ("wa:1",)),
    ],
)  # fmt: skip
def test_the_names_of_a_sender(own: Any, contacts: Any, names: tuple[str, ...]) -> None:
    assert names_of(own, contacts=contacts) == names


def test_the_only_contact_of_two_messages_is_not_taken_for_a_sender_it_does_not_name() -> None:
    first, second = parse(
        json.dumps(
            envelope(
                change(
                    contacts=[{"wa_id": "1"}],
                    messages=[text("a", "1"), {**text("b", ""), "from_user_id": USER}],
                )
            )
        ).encode()
    )

    assert isinstance(first, Message)
    assert isinstance(second, Message)
    assert (first.identifiers, second.identifiers) == (("wa:1",), (f"user:{USER}",))


def test_the_profile_name_is_no_name_to_look_up() -> None:
    maria = {"profile": {"name": "Maria"}}

    one = names_of({"from": "1"}, contacts=[{"wa_id": "1", **maria}])
    other = names_of({"from": "2"}, contacts=[{"wa_id": "2", **maria}])

    assert (one, other) == (("wa:1",), ("wa:2",))


@pytest.mark.parametrize(
    ("system", "names"),
    [
        ({"type": "user_changed_number", "wa_id": "2"}, ("wa:1", "wa:2")),
        ({"type": "user_changed_number", "new_wa_id": "2"}, ("wa:1", "wa:2")),
        ({"type": "user_changed_number"}, ("wa:1",)),
        ({"type": "customer_identity_changed", "wa_id": "2"}, ("wa:1",)),
        (
            {"type": "user_changed_user_id", "previous_user_id": "BR.1", "user_id": "BR.2"},
            ("wa:1", "user:BR.1", "user:BR.2"),
        ),
    ],
)
def test_a_new_number_that_whatsapp_tells_is_the_same_person(
    system: Any, names: tuple[str, ...]
) -> None:
    assert names_of({"from": "1", "type": "system", "system": system}) == names


@pytest.mark.parametrize(
    ("system", "number", "user_id"),
    [
        ({"type": "user_changed_number", "wa_id": "2"}, "2", USER),
        ({"type": "user_changed_number", "new_wa_id": "2"}, "2", USER),
        ({"type": "user_changed_number", "new_wa_id": ""}, "1", USER),
        ({"type": "user_changed_user_id", "user_id": "BR.2"}, "1", "BR.2"),
        ({"type": "customer_identity_changed", "wa_id": "2"}, "1", USER),
    ],
)
def test_who_changed_their_number_is_answered_at_the_new_one(
    system: Any, number: str, user_id: str
) -> None:
    own = {"from": "1", "from_user_id": USER, "type": "system", "system": system}

    found = part(messages=[{**text("w"), **own}])

    assert isinstance(found, Message)
    assert (found.sender.wa_id, found.sender.user_id) == (number, user_id)


@pytest.mark.parametrize(
    ("own", "names"),
    [
        ({"recipient_id": "1"}, ("wa:1",)),
        ({"recipient_user_id": USER}, (f"user:{USER}",)),
        ({"recipient_id": "", "recipient_user_id": USER}, (f"user:{USER}",)),
        ({"recipient_id": "g", "recipient_type": "group"}, ("group:g",)),
        ({"recipient_type": "group"}, ()),
        ({}, ()),
    ],
)
def test_the_names_of_a_recipient(own: Any, names: tuple[str, ...]) -> None:
    found = part(statuses=[{"id": "s", "status": "sent", **own}])

    assert isinstance(found, Status)
    assert found.identifiers == names


def test_a_person_without_any_name_has_no_identifiers() -> None:
    assert identifiers(Person(name="Maria")) == ()
