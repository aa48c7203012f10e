"""What a broker of the stack is told."""

from __future__ import annotations

import codecs
from pathlib import Path

import pytest

from streams.local.stack.kafka import Cluster, Storage
from tests.local.test_stack_plan import plan


def as_java_reads(raw: bytes) -> dict[str, str]:
    """Return the properties of a file: Latin-1, with escapes."""
    lines = raw.decode("latin-1").splitlines()
    pairs = (codecs.decode(line, "unicode_escape").partition("=") for line in lines)
    return {
        name: value.encode("utf-16", "surrogatepass").decode("utf-16") for name, _, value in pairs
    }


@pytest.mark.parametrize("name", ["joão silva", "área de trabalho", "a\\b", "😀"])
async def test_a_broker_finds_its_folder_whatever_its_name_is(tmp_path: Path, name: str) -> None:
    cluster = Cluster(home=tmp_path / name, ports=((20_000, 21_000),))
    folder = cluster.home / "data" / "kafka"
    folder.mkdir(parents=True)
    (folder / "meta.properties").touch()  # formatted
    config = cluster.home / "run" / "kafka.properties"
    await Storage(cluster, 0, config, (), {}).format(lambda _: None)
    assert as_java_reads(config.read_bytes())["log.dirs"] == str(folder)


def test_java_is_told_how_the_names_of_files_are_written(tmp_path: Path) -> None:
    kafka = next(
        part for part in plan(tmp_path, LC_ALL="pt_BR.UTF-8").parts if part.name == "kafka"
    )
    assert kafka.env["LC_ALL"] == "pt_BR.UTF-8"
