"""Commands: reply, takeover, release, unpark, pause, tag, close, conversations: the API, asked."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import quote
from uuid import uuid4

import typer

from schemas.errors import Misconfigured, Rejected, Unavailable
from streams.cli.advice import of_the_stack

TIMEOUT_S: Final = 10.0
STDIN: Final = "-"
WORDS: Final = {
    "unknown_conversation": (
        "there is no such conversation; `whaticket conversations` lists a company's"
    )
}
"""What the API's codes mean to a person who typed a command."""
TENANT: Final = typer.Option(help="The company.")
KEY: Final = typer.Option(None, help="Idempotency key; give it again to ask the same again.")
USER: Final = typer.Option(None, help="Id of the person in the helpdesk.")
CONVERSATION: Final = typer.Argument(help="Id of the conversation.")


def reply(
    conversation: str = CONVERSATION,
    text: str = typer.Argument("-", help="What to say; - reads it from stdin."),
    user: str = USER,
    key: str = KEY,
) -> None:
    """Answer a customer as a person."""
    words = sys.stdin.read().strip() if text == STDIN else text
    _ask(conversation, "reply", {"text": words, "agent_user": user}, key)


def _command(name: str, doc: str) -> Callable[..., None]:
    def run(
        conversation: str = CONVERSATION,
        user: str = USER,
        reason: str = typer.Option("", help="Why, as a short code."),
        key: str = KEY,
    ) -> None:
        _ask(conversation, name, {"agent_user": user, "reason": reason}, key)

    run.__doc__ = doc
    return run


def _tagging(name: str, doc: str) -> Callable[..., None]:
    def run(
        conversation: str = CONVERSATION,
        tag: str = typer.Argument(help="The tag, such as atendimento-humano."),
        user: str = USER,
        key: str = KEY,
    ) -> None:
        _ask(conversation, name, {"agent_user": user, "tag": tag}, key)

    run.__doc__ = doc
    return run


def pause(
    conversation: str = CONVERSATION,
    minutes: int = typer.Option(None, min=1, help="For so long; else until it is released."),
    hours: int = typer.Option(None, min=1, help="For so long, and the minutes."),
    user: str = USER,
    key: str = KEY,
) -> None:
    """Silence the AI in a conversation."""
    from streams.clock import open_clock
    from streams.settings import settings

    body: dict[str, Any] = {"agent_user": user}
    if minutes or hours:
        now = datetime.fromtimestamp(open_clock(settings()).now_ms() / 1000, UTC)
        body["until"] = (now + timedelta(hours=hours or 0, minutes=minutes or 0)).isoformat()
    _ask(conversation, "pause", body, key)


def conversations(
    tenant: str = TENANT,
    status: str = typer.Option(None, help="open, pending or closed."),
    limit: int = typer.Option(20, min=1, max=200),
) -> None:
    """List a company's conversations, the newest first; no text is shown."""
    wanted: dict[str, Any] = {"tenant": tenant, "limit": limit}
    if status is not None:
        wanted["status"] = status
    found = _request("GET", "", params=wanted)["conversations"]
    if not found:
        typer.echo(f"no conversations of {tenant}", err=True)
    for each in found:
        typer.echo(
            f"{each['conversation_id']}\t{each['status']}\t{each['phase']}"
            f"\t{each['agent_user'] or each['owner'] or '-'}\t{each['unread']} unread"
        )


def _ask(conversation: str, what: str, body: Mapping[str, Any], key: str | None) -> None:
    key = key or uuid4().hex
    try:
        answer = _request(
            "POST",
            f"/{quote(conversation, safe='')}/{what}",
            json={name: value for name, value in body.items() if value is not None},
            headers={"idempotency-key": key},
        )
    except (Unavailable, Misconfigured) as exc:
        if _may_be_done(exc):
            typer.echo(f"this may be done all the same; ask again with --key {key}", err=True)
        raise
    typer.echo(answer["event_id"])


def _may_be_done(exc: Unavailable | Misconfigured) -> bool:
    """Tell whether the event may still come onto the log; with another key it would be another."""
    import httpx

    if isinstance(exc, Unavailable):
        return exc.service == "kafka"
    cut = exc.__cause__
    return isinstance(cut, httpx.TransportError) and not isinstance(
        cut, httpx.ConnectError | httpx.ConnectTimeout
    )


def _request(method: str, path: str, **given: Any) -> Any:
    """Ask the API.

    Raises:
        Unavailable: It does not answer, or Kafka or Postgres behind it is down.
        Rejected: It refuses.
        Misconfigured: It does not know our token.
    """
    import httpx

    from schemas.addresses import on_this_machine
    from streams.settings import require_secrets, settings

    current = settings()
    require_secrets(current, "api_token")
    given["headers"] = given.get("headers", {}) | {
        "authorization": f"Bearer {current.api_token.get_secret_value()}"
    }
    # a server that listens everywhere is asked here
    host = "127.0.0.1" if current.http_host in {"0.0.0.0", "::"} else current.http_host
    base = f"http://{host}:{current.api_port}/v1/conversations"
    try:
        answer = httpx.request(
            method,
            base + path,
            timeout=TIMEOUT_S,
            trust_env=not on_this_machine(base),  # no proxy is to see the token
            **given,
        )
    except httpx.TransportError as exc:
        raise Misconfigured(
            f"the people's API does not answer on port {current.api_port}"
            + of_the_stack(", `whaticket api` the API alone")
        ) from exc
    if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
        raise Unavailable(answer.json()["service"])
    if answer.status_code == httpx.codes.UNAUTHORIZED:
        raise Misconfigured("the people's API does not accept our API_TOKEN")
    if answer.is_error:
        told = answer.json().get("error", "refused")
        raise Rejected(WORDS.get(told, told), _problems(answer.json()))
    return answer.json()


def _problems(body: Mapping[str, Any]) -> str:
    return "; ".join(f"{each['field']}: {each['problem']}" for each in body.get("problems", ()))


def register(app: typer.Typer) -> None:
    """Register the commands of this module."""
    app.command("reply")(reply)
    app.command("takeover")(_command("takeover", "Take a conversation over from the AI."))
    app.command("release")(_command("release", "Give a conversation back to the AI."))
    app.command("unpark")(_command("unpark", "Give a conversation back that a flood has parked."))
    app.command("pause")(pause)
    app.command("tag")(_tagging("tag", "Tell that the helpdesk put a tag on a conversation."))
    app.command("untag")(_tagging("untag", "Tell that the helpdesk took a tag off it."))
    app.command("close")(_command("close", "Close a conversation."))
    app.command("conversations")(conversations)
