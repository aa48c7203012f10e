from __future__ import annotations

import os
from pathlib import Path

import pytest
import structlog
from typer.testing import CliRunner

from streams import cli
from streams.cli import build
from streams.local.stack.hold import hold
from streams.server.listening import listen
from streams.settings import environment
from tests.streams.cli.conftest import CommandLine

NOBODY = "127.0.0.1:1"
UNANSWERED = "whaticket: the people's API does not answer on port 1"
ADDRESSES = ("KAFKA_BOOTSTRAP", "SCHEMA_REGISTRY_URL", "POSTGRES_DSN", "REDIS_URL")


@pytest.fixture
def alone(tmp_path: Path) -> CommandLine:
    """The command line in a folder where a stack was, and is no more."""
    (tmp_path / "stack.env").write_text(
        f"KAFKA_BOOTSTRAP={NOBODY}\nSCHEMA_REGISTRY_URL=http://{NOBODY}\n"
    )
    kept = {name: value for name, value in environment().items() if name not in ADDRESSES}
    return CommandLine(kept | {"WHATICKET_HOME": str(tmp_path)})


async def test_without_a_stack_a_command_says_how_to_start_one_and_nothing_else(
    alone: CommandLine, tmp_path: Path
) -> None:
    start = f"no stack is up in {tmp_path}: `whaticket up` starts one, or set"

    assert await alone.run("dlq", "list") == (
        1,
        f"whaticket: kafka is not available; {start} KAFKA_BOOTSTRAP\n",
    )
    assert await alone.run("replay", "--check") == (
        1,
        f"whaticket: registry is not available; {start} SCHEMA_REGISTRY_URL\n",
    )


async def test_an_address_of_ones_own_that_nobody_answers_at_is_named(alone: CommandLine) -> None:
    alone.environment["KAFKA_BOOTSTRAP"] = NOBODY

    assert await alone.run("dlq", "list") == (
        1,
        "whaticket: kafka is not available; KAFKA_BOOTSTRAP in the environment says where it is\n",
    )


async def test_a_stack_that_is_starting_is_not_ready_and_commands_say_so(
    alone: CommandLine, tmp_path: Path
) -> None:
    alone.environment |= {"API_TOKEN": "t", "API_PORT": "1"}
    with hold(tmp_path / "run" / "up.lock"):
        state = await alone.run("status")
        asked = await alone.run("conversations", "--tenant", "demo")

    what = f"the stack in {tmp_path} is starting, `whaticket status` shows how far it is"
    assert state == (1, f"starting, process {os.getpid()}, {tmp_path}\n")
    assert asked == (2, f"{UNANSWERED}; {what}\n")


async def test_without_a_stack_people_are_told_what_serves_them(
    alone: CommandLine, tmp_path: Path
) -> None:
    alone.environment |= {"API_TOKEN": "t", "API_PORT": "1"}

    what = f"no stack is up in {tmp_path}: `whaticket up` starts one, `whaticket api` the API alone"
    asked = await alone.run("conversations", "--tenant", "demo")

    assert asked == (2, f"{UNANSWERED}; {what}\n")


async def test_a_folder_that_cannot_be_used_is_named(alone: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    alone.environment["WHATICKET_HOME"] = str(tmp_path / "file" / "home")

    status, said = await alone.run("up")

    assert status == 2
    assert said.startswith(f"whaticket: {tmp_path}/file/home")
    assert said.endswith(" cannot be used: Not a directory\n")


@pytest.mark.parametrize("name", ["POSTGRES_DSN", "REDIS_URL"])
async def test_a_malformed_address_is_named_and_not_quoted(alone: CommandLine, name: str) -> None:
    alone.environment[name] = "secret@nowhere"

    status, said = await alone.run("processes")

    assert status == 2
    assert said.startswith("whaticket: these settings are wrong; docs/settings.md ")
    assert f"\n  {name}: it begins with " in said
    assert "nowhere" not in said


@pytest.mark.parametrize("server", ["model", "simulator"])
async def test_a_port_that_is_taken_is_told_with_what_to_do(
    alone: CommandLine, server: str
) -> None:
    alone.environment["SIMULATOR_APP_SECRET"] = "s"
    with listen("127.0.0.1", 0, "") as taken:
        port = taken.getsockname()[1]
        status, said = await alone.run(server, "--port", str(port))

    assert status == 2
    assert said.startswith(f"whaticket: cannot listen on 127.0.0.1:{port} ")
    assert ": set --port to a free port" in said


def test_help_fills_its_lines() -> None:
    shown = CliRunner().invoke(build(), ["chaos", "--help"], env={"COLUMNS": "80"}).output

    assert "them again. Exit status 1 when a promise is broken" in shown


def test_what_is_logged_on_the_way_is_no_part_of_what_a_command_prints(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def command() -> None:
        structlog.get_logger().warning("reading.unreadable", reason="bad_magic", text="olá")
        print("{}")  # noqa: T201 - as a command prints its answer

    monkeypatch.setattr(cli, "build", lambda: command)
    try:
        cli.main()
    finally:
        structlog.reset_defaults()

    said, logged = capsys.readouterr()
    assert said == "{}\n"
    assert "reading.unreadable" in logged
    assert "bad_magic" in logged
    assert "olá" not in logged
