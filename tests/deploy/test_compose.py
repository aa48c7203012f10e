"""docker-compose.yml and the Dockerfile, checked without a Docker engine."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.core import TyperGroup
from typer.main import get_command

from schemas.topics import STATEFUL_STAGES
from streams.cli import build
from streams.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OUR_SERVICES = {name: s for name, s in SERVICES.items() if s["image"].startswith("whaticket")}
DOCKERFILE = (ROOT / "deploy/Dockerfile").read_text()


def test_every_stage_is_a_service_of_its_own() -> None:
    workers = {
        service["command"][1]
        for service in OUR_SERVICES.values()
        if service.get("command", [""])[0] == "worker"
    }

    assert workers == {*STATEFUL_STAGES, "memory", "transcripts"}


@pytest.mark.parametrize("name", sorted(OUR_SERVICES))
def test_a_service_runs_a_command_that_exists(name: str) -> None:
    service = OUR_SERVICES[name]
    group = get_command(build())
    assert isinstance(group, TyperGroup)

    named = service.get("command") or re.findall(
        r"python -m streams (\w+)", service["entrypoint"][2]
    )

    assert named[0] in group.commands


@pytest.mark.parametrize("name", sorted(OUR_SERVICES))
def test_a_service_sets_only_settings_that_exist(name: str) -> None:
    fields = {field.upper() for field in Settings.model_fields}

    assert set(OUR_SERVICES[name]["environment"]) <= fields


@pytest.mark.parametrize("name", sorted(OUR_SERVICES))
def test_copies_of_a_service_have_names_of_their_own(name: str) -> None:
    environment = OUR_SERVICES[name]["environment"]

    assert "INSTANCE" not in environment  # each container has its own, by its host name
    assert environment["STATIC_MEMBERSHIP"] == "false"  # and another one when it is made anew


@pytest.mark.parametrize("name", sorted(OUR_SERVICES))
def test_a_service_is_locked_down(name: str) -> None:
    service = OUR_SERVICES[name]

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_published_ports_listen_on_loopback_only(name: str) -> None:
    ports = SERVICES[name].get("ports", [])

    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_a_service_waits_only_for_services_that_exist(name: str) -> None:
    assert set(SERVICES[name].get("depends_on", {})) <= set(SERVICES)


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_every_image_has_a_version(name: str) -> None:
    tag = SERVICES[name]["image"].rpartition(":")[2]

    assert re.search(r"\d", tag) is not None


def test_the_kafka_ui_sees_the_broker_and_the_registry_that_the_stages_use() -> None:
    ui = SERVICES["kafka-ui"]["environment"]
    stage = SERVICES["dispatch"]["environment"]

    assert ui["KAFKA_CLUSTERS_0_BOOTSTRAPSERVERS"] == stage["KAFKA_BOOTSTRAP"]
    assert ui["KAFKA_CLUSTERS_0_SCHEMAREGISTRY"] == stage["SCHEMA_REGISTRY_URL"]


def test_the_model_listens_where_the_stages_reach_it() -> None:
    command = SERVICES["model"]["command"]

    # Alone it listens on loopback, where its own health check finds it and nobody else.
    assert command[command.index("--host") + 1] == "0.0.0.0"


def test_the_broker_keeps_its_log_on_its_volume() -> None:
    kafka = SERVICES["kafka"]
    (mounted,) = [volume.partition(":")[2] for volume in kafka["volumes"]]

    # Else the image writes below /tmp, which goes with the container.
    assert kafka["environment"]["KAFKA_LOG_DIRS"] == mounted


def test_mounted_files_exist() -> None:
    mounts = [
        volume.split(":")[0]
        for service in SERVICES.values()
        for volume in service.get("volumes", [])
        if volume.startswith("./")
    ]

    assert [mount for mount in mounts if not (ROOT / mount).exists()] == []


def test_the_image_runs_as_a_user_that_is_not_root() -> None:
    final_stage = DOCKERFILE.rpartition("\nFROM ")[2]

    assert re.findall(r"^USER (\S+)$", final_stage, re.MULTILINE) == ["10001:10001"]


def test_the_image_copies_only_what_exists() -> None:
    sources = [
        source
        for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE)
        for source in line.split()[:-1]
    ]

    assert [source for source in sources if not (ROOT / source).exists()] == []


def test_nothing_but_the_sources_reaches_the_build() -> None:
    allowed = {
        line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"
    }
    copied = {
        source
        for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE)
        for source in line.split()[:-1]
    }

    assert copied == allowed
