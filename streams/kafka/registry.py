"""The schema registry: which id each schema has.

A process only ever asks; schemas are registered by ``whaticket topics apply`` alone.
Any registry with Confluent's REST API will do.

Source: Confluent, "Schema Registry API Reference".
"""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Final
from urllib.parse import quote

import httpx
import structlog

from schemas.addresses import on_this_machine
from schemas.avro_schema import plain, schema_of, spelled
from schemas.codec import Codec
from schemas.errors import Misconfigured, Refusing, Unavailable
from schemas.topics import TOPICS, Topic
from streams.settings import Settings

log = structlog.get_logger(__name__)

TIMEOUT_S: Final = 5.0
"""Longest that one question may take; a lane waits for it only when a schema is new."""

ABSENT_FOR_S: Final = 5.0
"""How long an id stays unknown after the registry said so: a flood of bad records asks once."""

MOST_ABSENT: Final = 1000
"""Most such ids that are remembered: noise must not fill the memory."""

LARGEST_ID: Final = 2**31 - 1
"""Ids are positive 32-bit integers; a larger one is noise and not worth a question."""

FORBIDDEN: Final = (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN)

MEDIA_TYPE: Final = "application/vnd.schemaregistry.v1+json"


@dataclass(frozen=True, slots=True)
class Registered:
    """One version of a subject.

    Attributes:
        schema_id: Id that values name it by.
        version: Number of the version in its subject.
        schema: The schema as plain data, names in full.
    """

    schema_id: int
    version: int
    schema: Any


class Refused(Misconfigured):
    """The registry understood and said no.

    Attributes:
        status: HTTP status.
        code: The registry's error code; 0 when it gave none.
    """

    def __init__(self, message: str, status: int, code: int) -> None:
        super().__init__(message)
        self.status = status
        self.code = code

    @property
    def own(self) -> bool:
        """True when the registry itself has answered, not something on the way to it.

        Source: Confluent, "Schema Registry API Reference", "Errors": the first three digits of
        the code are the status.
        """
        return self.code // 100 == self.status


class Registry:
    """A schema registry by its base URL; opens a connection for each question.

    Args:
        url: Base URL; a user and password in it are used.
        transport: Stands for the network in tests.
        timeout_s: Longest that one question may take.
        now_s: Monotonic seconds.
    """

    def __init__(
        self,
        url: str,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        timeout_s: float = TIMEOUT_S,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = url.rstrip("/")
        self._transport = transport
        self._timeout_s = timeout_s
        self._now_s = now_s
        self._texts: dict[int, str] = {}
        self._absent: dict[int, float] = {}
        self._asking = asyncio.Lock()

    async def lookup(self, schema_id: int) -> str | None:
        """Return the text of a schema; None when the registry has no such id.

        Raises:
            Unavailable: The registry cannot be asked, or does not let us in.
        """
        if schema_id > LARGEST_ID:
            return None
        async with self._asking:
            if schema_id in self._texts:
                return self._texts[schema_id]
            if self._now_s() < self._absent.get(schema_id, float("-inf")):
                return None
            text = await self._text(schema_id)
            if text is None:
                if len(self._absent) >= MOST_ABSENT:
                    self._absent.clear()
                self._absent[schema_id] = self._now_s() + ABSENT_FOR_S
                log.warning("registry.unknown_schema", schema_id=schema_id)
            else:
                self._texts[schema_id] = text
            return text

    async def newest(self, subject: str) -> Registered | None:
        """Return the newest version of a subject; None when it has none."""
        return await self._version(subject, "latest")

    async def versions(self, subject: str) -> tuple[int, ...]:
        """Return the numbers of a subject's versions, oldest first; empty when it has none."""
        return tuple(sorted(await self._ask("GET", f"/subjects/{_path(subject)}/versions") or ()))

    async def id_of(self, subject: str, schema: Any) -> int | None:
        """Return the id of the newest version that says the same as a schema, docs aside."""
        wanted = plain(spelled(schema))
        newest = await self.newest(subject)
        if newest is None:
            return None
        if plain(newest.schema) == wanted:
            return newest.schema_id
        for number in reversed(await self.versions(subject)):
            found = await self._version(subject, str(number))
            if found and plain(found.schema) == wanted:
                log.warning("registry.newer_schema", subject=subject, newest=newest.version)
                return found.schema_id
        return None

    async def register(self, subject: str, schema: Any) -> None:
        """Add a version to a subject; one that it has already stays as it is.

        Raises:
            Refused: The schema breaks the subject's compatibility or is no schema.
        """
        body = {"schema": json.dumps(schema), "schemaType": "AVRO"}
        await self._ask("POST", f"/subjects/{_path(subject)}/versions", body)

    async def compatibility(self, subject: str) -> str | None:
        """Return the compatibility that is set for a subject itself."""
        found = await self._ask("GET", f"/config/{_path(subject)}")
        return None if found is None else str(found["compatibilityLevel"])

    async def require(self, subject: str, level: str) -> None:
        """Set the compatibility of a subject."""
        await self._ask("PUT", f"/config/{_path(subject)}", {"compatibility": level})

    async def _text(self, schema_id: int) -> str | None:
        try:
            found = await self._ask("GET", f"/schemas/ids/{schema_id}")
            return None if found is None else str(found["schema"])
        except Refused as exc:
            if exc.own:
                return None
            # It said nothing of this id, so the record is not at fault: an operator is.
            raise Refusing("registry", str(exc)) from exc
        except (KeyError, TypeError) as exc:
            raise Unavailable("registry") from exc

    async def _version(self, subject: str, version: str) -> Registered | None:
        found = await self._ask("GET", f"/subjects/{_path(subject)}/versions/{version}")
        if found is None:
            return None
        return Registered(
            int(found["id"]), int(found["version"]), spelled(json.loads(found["schema"]))
        )

    def _client(self) -> httpx.AsyncClient:
        verify = _tls() if self._url.startswith("https:") else False
        return httpx.AsyncClient(
            transport=self._transport,
            timeout=self._timeout_s,
            verify=verify,
            trust_env=not on_this_machine(self._url),  # proxies are for what is far away
        )

    async def _ask(self, method: str, path: str, body: Any = None) -> Any:
        """Ask once; None is the registry's own 404."""
        try:
            # httpx counts each read anew: an answer that trickles would take for ever.
            async with asyncio.timeout(self._timeout_s), self._client() as client:
                response = await client.request(
                    method, self._url + path, json=body, headers=_headers(body)
                )
                return _answer(response, path)
        except (httpx.HTTPError, TimeoutError, ValueError) as exc:  # or the answer is no JSON
            raise Unavailable("registry") from exc


@cache
def _tls() -> ssl.SSLContext:
    """Return the one context of this process: to read the certificates takes 70 ms."""
    return ssl.create_default_context()


def _headers(body: Any) -> dict[str, str]:
    return {"Accept": MEDIA_TYPE} | ({"Content-Type": MEDIA_TYPE} if body else {})


def _answer(response: httpx.Response, path: str) -> Any:
    if response.status_code == httpx.codes.TOO_MANY_REQUESTS or response.is_server_error:
        raise Unavailable("registry")
    if not response.is_error:
        return response.json()
    refused = _refused(response, path)
    if response.status_code in FORBIDDEN:
        raise Refusing("registry", str(refused)) from refused
    if response.status_code == httpx.codes.NOT_FOUND and refused.own:
        return None
    raise refused


def _refused(response: httpx.Response, path: str) -> Refused:
    found = response.json() if "json" in response.headers.get("content-type", "") else {}
    said = found if isinstance(found, dict) else {}
    return Refused(
        f"the registry refuses {path}: {response.status_code}"
        f" {said.get('message', response.reason_phrase)}",
        response.status_code,
        int(said.get("error_code") or 0),
    )


def _path(subject: str) -> str:
    return quote(subject, safe="")


async def open_codec(settings: Settings) -> Codec:
    """Return the codec of this process, with the ids of all our schemas.

    An older version than the registry's newest is fine: a rollback must be able to start.

    Raises:
        Misconfigured: A subject is missing or has no version like ours.
        Unavailable: The registry cannot be asked.
    """
    return await codec_of(Registry(settings.schema_registry_url))


async def codec_of(registry: Registry) -> Codec:
    """Return a codec with the ids that a registry gave our schemas; see ``open_codec``."""
    found = await asyncio.gather(*(_id_of(registry, topic) for topic in TOPICS))
    ids = {topic.name: schema_id for topic, schema_id in zip(TOPICS, found, strict=True)}
    missing = [topic.subject for topic in TOPICS if ids[topic.name] is None]
    if missing:
        raise Misconfigured(
            f"the schema registry has no version like ours of {', '.join(missing)}:"
            " run `whaticket topics apply --execute`"
        )
    known = {topic: schema_id for topic, schema_id in ids.items() if schema_id is not None}
    return Codec(known, lookup=registry.lookup)


async def _id_of(registry: Registry, topic: Topic) -> int | None:
    return await registry.id_of(topic.subject, schema_of(topic.record))
