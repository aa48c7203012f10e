from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from schemas.topics import TOPICS, Topic
from streams import docs
from streams.cli import build

FILES = docs.rendered()


def test_every_generated_file_is_up_to_date() -> None:
    assert docs.outdated(docs.project_root(), FILES) == []


def test_the_command_agrees_that_everything_is_up_to_date() -> None:
    ran = CliRunner().invoke(build(), ["docs", "--check"])

    assert (ran.exit_code, ran.stdout) == (0, f"{len(FILES)} files are up to date.\n")


def test_a_file_that_was_edited_or_lost_is_named_and_rendered_again(tmp_path: Path) -> None:
    docs.write(tmp_path, FILES)
    (tmp_path / "docs/events.md").write_text("edited", "utf-8")
    (tmp_path / "schemas/avro/TimerFired/1.avsc").unlink()

    stale = docs.outdated(tmp_path, FILES)
    written = docs.write(tmp_path, FILES)

    assert stale == ["schemas/avro/TimerFired/1.avsc", "docs/events.md"]
    assert (written, docs.outdated(tmp_path, FILES)) == (stale, [])


def test_a_stale_file_makes_the_check_fail_and_name_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(docs, "project_root", lambda: tmp_path)
    docs.write(tmp_path, FILES)
    (tmp_path / "docs/events.md").write_text("edited", "utf-8")

    ran = CliRunner().invoke(build(), ["docs", "--check"])

    assert (ran.exit_code, ran.stdout) == (1, "out of date: docs/events.md\n")


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_the_page_of_events_has_a_section_and_an_example_of_each_topic(topic: Topic) -> None:
    _, _, after = docs.events_page().partition(f"\n## {topic.name}\n")
    section = after.partition("\n## ")[0]

    assert topic.doc in section
    assert f'"event": "{topic.name}"' in section


def test_a_link_of_the_page_leads_to_one_of_its_headings() -> None:
    page = docs.events_page()
    headings = {
        line.lstrip("#").strip().lower().replace(".", "").replace(" ", "-")
        for line in page.splitlines()
        if line.startswith("#")
    }
    links = {part.partition(")")[0] for part in page.split("](#")[1:]}

    assert links - headings == set()
