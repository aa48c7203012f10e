from __future__ import annotations

import json
from typing import Any

import pytest

from schemas.events import DeliveryStatus, Media, MessageKind, Person
from streams.whatsapp import Echo, Message, Other, Part, Status, parse
from streams.whatsapp.fields import LAST_MS
from streams.whatsapp.parts import Content
from tests.streams.webhook.world import PAYLOADS, change, envelope, text

KIND = MessageKind


def split(*changes: Any) -> tuple[Part, ...]:
    return parse(json.dumps(envelope(*changes)).encode())


def message(own: Any, **value: Any) -> Message:
    (part,) = split(change(messages=[own], **value))
    assert isinstance(part, Message)
    return part


def recorded(file: str, variant: str) -> Message:
    body = json.loads((PAYLOADS / "pywa" / f"{file}.json").read_text())[variant]
    part = parse(json.dumps(body).encode())[0]
    assert isinstance(part, Message)
    return part


@pytest.mark.parametrize(
    ("file", "variant", "content"),
    [
        ("message", "text", Content(kind=KIND.TEXT, text="Body Text")),
        (
            "message",
            "document",
            Content(
                kind=KIND.DOCUMENT,
                text="caption",
                media=Media(
                    media_id="1234567890987654321",
                    mime_type="application/pdf",
                    sha256="grwfwe/ZPx0wAbdfbdeFUNItPZ0RylL8gGUvdt3YFqc18SY=",
                    filename="filename.pdf",
                ),
            ),
        ),
        (
            "message",
            "reaction",
            Content(kind=KIND.REACTION, target_wamid="wamid.yzxyzx=", reaction="😮"),
        ),
        (
            "message",
            "unreaction_empty",
            Content(kind=KIND.REACTION, target_wamid="wamid.yzxyzx=", reaction=""),
        ),
        (
            "message",
            "unreaction_no_emoji",
            Content(kind=KIND.REACTION, target_wamid="wamid.yzxyzx=", reaction=""),
        ),
        (
            "message",
            "chosen_location",
            Content(kind=KIND.LOCATION, text="Facebook HQ, 1 Hacker Way, Menlo Park, CA 94025"),
        ),
        (
            "message",
            "contacts",
            Content(kind=KIND.CONTACTS, text="Chandler Bing, Monica, Rachel Green"),
        ),
        ("message", "order", Content(kind=KIND.ORDER)),
        ("message", "unsupported_with_type", Content(kind=KIND.UNSUPPORTED)),
        ("message", "interactive_message_with_err", Content(kind=KIND.UNSUPPORTED)),
        (
            "callback_button",
            "button",
            Content(kind=KIND.INTERACTIVE, text="title", button_id="callback_data"),
        ),
        (
            "callback_button",
            "quick_reply",
            Content(kind=KIND.BUTTON, text="title", button_id="callback_data"),
        ),
        (
            "callback_selection",
            "callback",
            Content(kind=KIND.INTERACTIVE, text="title", button_id="callback_data"),
        ),
        (
            "deleted_message",
            "revoke",
            Content(kind=KIND.REVOKE, target_wamid="<ORIGINAL_WHATSAPP_MESSAGE_ID>"),
        ),
    ],
)
def test_what_a_recorded_message_says(file: str, variant: str, content: Content) -> None:
    assert recorded(file, variant).content == content


def test_a_voice_note_is_told_from_a_music_file() -> None:
    voices = [recorded("message", name).content.media for name in ("voice", "audio")]

    assert [media and media.voice for media in voices] == [True, False]


def test_an_edit_brings_the_new_caption_and_the_edited_message() -> None:
    said = recorded("edited_message", "image").content

    assert (said.kind, said.text) == (KIND.EDIT, "Updated image caption")
    assert said.target_wamid == "wamid.HBgLMTQxMjU1NTA4MjkVAgASGBQzQUNCNjk5RDUwNUZGMUZEM0VBRAA="


def test_a_finished_form_brings_its_answers() -> None:
    said = recorded("flow_completion", "without_flow_token").content

    assert json.loads(said.text or "")["comment_text"] == "Comment Text"


@pytest.mark.parametrize(
    ("own", "kind"),
    [
        ({"type": "text"}, KIND.UNSUPPORTED),  # no body
        ({"type": "text", "text": {}}, KIND.UNSUPPORTED),
        ({"type": "text", "text": {"body": 5}}, KIND.TEXT),
        ({"type": "text", "text": {"body": ["x"]}}, KIND.UNSUPPORTED),
        ({"type": "text", "text": "oi"}, KIND.UNSUPPORTED),
        ({"type": "hologram", "hologram": {"id": "1"}}, KIND.UNSUPPORTED),
        ({"type": {"a": 1}, "text": {"body": "oi"}}, KIND.TEXT),
        ({"location": {"latitude": -233}}, KIND.LOCATION),  # no type
        ({"type": "", "image": {"id": "1"}}, KIND.IMAGE),
        ({}, KIND.UNSUPPORTED),
        ({"type": "contacts", "contacts": [{"vcard": "BEGIN:VCARD"}]}, KIND.CONTACTS),
    ],
)
def test_a_message_of_any_shape_is_kept(own: Any, kind: MessageKind) -> None:
    part = message({"from": "1", "id": "w", **own})

    assert (part.wamid, part.content.kind) == ("w", kind)
    assert json.loads(part.raw) == {"from": "1", "id": "w", **own}


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("1697043223", 1697043223000),
        (1697043223, 1697043223000),
        (1697043223.5, 1697043223500),
        (0, 0),
        (-5, 0),
        ("17494004003", 17494004003000),  # the year 2524
        (10**30, LAST_MS),
        ("9" * 400, LAST_MS),
        ("inf", LAST_MS),
        ("nan", None),
        ("<TIMESTAMP>", None),
        (True, None),
        (None, None),
        ([], None),
    ],
)
def test_a_timestamp_is_data_whatever_it_says(written: Any, read: int | None) -> None:
    assert message({**text("w"), "timestamp": written}).sent_at == read


@pytest.mark.parametrize("missing", [None, "", {}, "x" * 257])
def test_a_message_without_a_usable_id_has_one_that_follows_from_it(missing: Any) -> None:
    own = {**text("w"), "id": missing}

    first, again, other = message(own), message(own), message({**own, "timestamp": "5"})

    assert first.wamid == again.wamid
    assert first.wamid.startswith("sha256:")
    assert other.wamid != first.wamid


def test_one_id_under_two_numbers_is_two_messages() -> None:
    first, second = split(
        change(number="100", messages=[text("same")]), change(number="200", messages=[text("same")])
    )

    assert (first.phone_number_id, second.phone_number_id) == ("100", "200")


def test_messages_statuses_echoes_and_calls_of_one_change_are_told_apart() -> None:
    parts = split(
        change(
            messages=[text("m")],
            statuses=[{"id": "s", "status": "read", "recipient_id": "1"}],
            message_echoes=[{"id": "e", "to": "1", "type": "text", "text": {"body": "x"}}],
            calls=[{"id": "c"}],
        )
    )

    assert [type(part) for part in parts] == [Message, Status, Echo, Other]


def test_history_is_never_answered_and_its_echoes_are_no_takeover() -> None:
    old, echo = split(
        change("history", messages=[text("m")], message_echoes=[{"id": "e", "to": "1"}])
    )

    assert isinstance(old, Message)
    assert isinstance(echo, Other)
    assert (old.answerable, echo.reason) == (False, "history_echo")


def test_a_system_notice_is_kept_and_never_answered() -> None:
    part = recorded("system", "identity_change")

    assert (part.content.kind, part.answerable) == (KIND.SYSTEM, False)


@pytest.mark.parametrize(
    ("status", "read"),
    [("played", DeliveryStatus.PLAYED), ("warning", DeliveryStatus.WARNING)]
    + [(other, DeliveryStatus.UNKNOWN) for other in ("new one", None, 5, ["sent"])],
)
def test_a_status_of_any_name_is_kept(status: Any, read: DeliveryStatus) -> None:
    (part,) = split(change(statuses=[{"id": "s", "status": status, "recipient_id": "1"}]))

    assert isinstance(part, Status)
    assert part.status is read


def test_an_unknown_change_is_kept_whole() -> None:
    odd = {"field": "flows", "value": {"event": "FLOW_STATUS_CHANGE", "flow_id": 5}}

    (part,) = split(odd)

    assert isinstance(part, Other)
    assert json.loads(part.body) == envelope(odd)


def test_a_part_alone_reads_as_it_did_in_its_body() -> None:
    contacts = [{"profile": {"name": "Maria"}, "wa_id": "5511987654321", "user_id": "BR.1"}]
    first, second = split(change(contacts=contacts, messages=[text("a"), text("b", "2")]))

    assert isinstance(first, Message)
    assert isinstance(second, Message)
    alone = [part for one in (first, second) for part in parse(one.alone())]
    assert alone == [first, second]


def test_what_a_person_sends_from_the_phone_names_the_customer() -> None:
    body = json.loads((PAYLOADS / "pywa" / "outgoing_message.json").read_text())["edit"]

    (part,) = parse(json.dumps(body).encode())

    assert isinstance(part, Echo)
    assert part.recipient == Person(wa_id="972123456789")
    assert part.content == Content(
        kind=KIND.EDIT, text="Text was edited", target_wamid="wamid.zzzzzz"
    )


def test_what_is_written_in_a_group_is_no_customers_conversation() -> None:
    """The answer would go to its writer alone, and say what was said in the group."""
    written = {**text("w1", "5511987654321"), "group_id": "Y2FwaV9ncm91cDox"}
    body = envelope(change(messages=[written, text("w2", "5511987654321")]))

    group, own = parse(json.dumps(body).encode())

    assert isinstance(group, Other)
    assert group.reason == "group_message"
    assert b"w1" in group.body
    assert isinstance(own, Message)


def test_a_list_that_is_none_is_kept_beside_others() -> None:
    read = {"id": "s1", "status": "read", "recipient_id": "5511987654321"}
    body = envelope(change(messages={"id": "w1"}, statuses=[read]))

    kept, status = parse(json.dumps(body).encode())

    assert isinstance(status, Status)
    assert isinstance(kept, Other)
    assert (kept.reason, b"w1" in kept.body) == ("unknown_shape", True)
