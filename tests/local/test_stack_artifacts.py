from __future__ import annotations

import json
from pathlib import Path

import pytest

from schemas.errors import Misconfigured
from streams.local.stack.artifacts import Artifact, read_lock

ROW = {"coordinates": "org.example:lib:1.2", "sha256": "0" * 64, "size": 7}


def test_the_committed_lock_holds_kafka_and_the_registry() -> None:
    lock = read_lock()
    names = {artifact.coordinates.split(":")[1] for artifact in lock["kafka"].artifacts}
    wanted = {"kafka_2.13", "kafka-storage", "kafka-raft", "kafka-server", "kafka-metadata"}
    assert wanted | {"kafka-group-coordinator", "log4j-core", "log4j-slf4j-impl"} <= names
    assert [artifact.coordinates for artifact in lock["registry"].artifacts] == [
        "io.apicurio:apicurio-registry-app:3.3.3:tar.gz:all"
    ]


@pytest.mark.parametrize(
    ("coordinates", "path"),
    [
        ("org.example:lib:1.2", "org/example/lib/1.2/lib-1.2.jar"),
        ("org.example:lib:1.2:tar.gz", "org/example/lib/1.2/lib-1.2.tar.gz"),
        ("org.example:lib:1.2:tar.gz:all", "org/example/lib/1.2/lib-1.2-all.tar.gz"),
    ],
)
def test_coordinates_name_a_path(coordinates: str, path: str) -> None:
    assert Artifact(coordinates=coordinates, sha256="0" * 64, size=1).path == path


@pytest.mark.parametrize(
    "damage",
    [
        {"sha256": "abc"},
        {"sha256": None},
        {"size": 0},
        {"size": "7"},
        {"coordinates": "../../etc/passwd"},
        {"coordinates": "a:b"},
    ],
)
def test_a_damaged_lock_is_refused(tmp_path: Path, damage: dict[str, object]) -> None:
    file = tmp_path / "lock.json"
    file.write_text(json.dumps({"kafka": [ROW | damage]}))
    with pytest.raises(Misconfigured, match="is not a lock"):
        read_lock(file)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"kafka": [{}]}', '{"kafka": 1}'])
def test_what_is_no_lock_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "lock.json"
    file.write_text(text)
    with pytest.raises(Misconfigured, match="is not a lock"):
        read_lock(file)


def test_a_changed_file_changes_the_digest(tmp_path: Path) -> None:
    digests = set()
    for digest in ("0" * 64, "1" * 64):
        file = tmp_path / "lock.json"
        file.write_text(json.dumps({"kafka": [ROW | {"sha256": digest}]}))
        digests.add(read_lock(file)["kafka"].digest)
    assert len(digests) == 2
