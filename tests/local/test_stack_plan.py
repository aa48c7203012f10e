from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from schemas.errors import Misconfigured
from streams.local.stack import StackOptions, envfile
from streams.local.stack.kafka import Cluster
from streams.local.stack.options import Layout
from streams.local.stack.own import beside
from streams.local.stack.plan import Plan, Surroundings, make_plan
from streams.local.stack.ports import choose
from streams.settings import Settings


def plan(home: Path, options: StackOptions | None = None, **environment: str) -> Plan:
    around = Surroundings(environment=environment, cache=home / "cache", settings=Settings())
    return make_plan(options or StackOptions(home=home), around)


def names(made: Plan) -> set[str]:
    return {part.name for part in made.parts}


def test_everything_is_planned_and_every_address_is_local(tmp_path: Path) -> None:
    made = plan(tmp_path)
    infrastructure = {"kafka", "registry", "postgres", "redis"}
    assert names(made) == infrastructure | {
        "prepare",
        "simulator",
        "model",
        "webhook",
        "api",
        "worker",
    }
    assert made.written["KAFKA_BOOTSTRAP"] == f"127.0.0.1:{made.ports['kafka-1']}"
    assert made.written["WHATSAPP_API_URL"] == f"http://127.0.0.1:{made.ports['simulator']}/v25.0"
    assert made.written["OPENAI_BASE_URL"] == f"http://127.0.0.1:{made.ports['model']}/v1"


def test_secrets_and_ports_are_kept_between_starts(tmp_path: Path) -> None:
    first = plan(tmp_path)
    envfile.write(tmp_path / envfile.NAME, first.written)
    second = plan(tmp_path)
    assert second.written == first.written


def test_data_whose_password_is_lost_is_named(tmp_path: Path) -> None:
    plan(tmp_path)  # nothing is there yet, and nothing is lost
    (tmp_path / "data" / "postgres").mkdir(parents=True)

    with pytest.raises(Misconfigured, match=r"stack\.env has no POSTGRES_PASSWORD"):
        plan(tmp_path)

    assert plan(tmp_path, None, POSTGRES_DSN="postgresql://postgres.example/x").replaced
    envfile.write(tmp_path / envfile.NAME, {"POSTGRES_PASSWORD": "kept"})
    assert plan(tmp_path).written["POSTGRES_PASSWORD"] == "kept"


@pytest.mark.parametrize(
    ("variable", "value", "gone"),
    [
        ("KAFKA_BOOTSTRAP", "kafka.example:9092", "kafka"),
        ("SCHEMA_REGISTRY_URL", "http://registry.example", "registry"),
        ("POSTGRES_DSN", "postgresql://postgres.example/x", "postgres"),
        ("REDIS_URL", "redis://redis.example", "redis"),
        ("WHATSAPP_API_URL", "https://graph.example/v25.0", "simulator"),
        ("OPENAI_BASE_URL", "https://model.example/v1", "model"),
        ("OPENAI_API_KEY", "sk-not-a-key", "model"),
    ],
)
def test_an_address_in_the_environment_replaces_the_part(
    tmp_path: Path, variable: str, value: str, gone: str
) -> None:
    made = plan(tmp_path, None, **{variable: value})
    assert gone not in names(made)
    assert made.env[variable] == value
    assert variable not in made.written
    assert made.replaced == {gone: variable}


def test_a_stack_that_is_broken_on_purpose_has_no_part_of_the_environment(tmp_path: Path) -> None:
    real = {"OPENAI_API_KEY": "sk-not-a-key", "POSTGRES_DSN": "postgresql://postgres.example/x"}

    with pytest.raises(Misconfigured, match="unset POSTGRES_DSN, OPENAI_API_KEY") as refused:
        plan(tmp_path, StackOptions(home=tmp_path, alone=True), **real)

    assert "postgres.example" not in str(refused.value)
    assert plan(tmp_path, StackOptions(home=tmp_path, alone=True), OPENAI_API_KEY="").replaced == {}


def test_a_key_of_a_real_model_never_meets_the_offline_address(tmp_path: Path) -> None:
    assert "OPENAI_BASE_URL" not in plan(tmp_path, OPENAI_API_KEY="sk-not-a-key").env


def test_secrets_are_in_no_command_line_and_no_address(tmp_path: Path) -> None:
    made = plan(tmp_path)
    secrets = [made.written[name] for name in made.written if name in _SECRETS]
    shown = " ".join(" ".join((*part.argv, part.address)) for part in made.parts)
    assert len(secrets) == len(_SECRETS)
    assert not [secret for secret in secrets if secret in shown]


_SECRETS = ("HASH_KEY", "SECRETS_KEY", "API_TOKEN", "SIMULATOR_APP_SECRET", "POSTGRES_PASSWORD")


def test_other_programs_do_not_see_the_users_environment(tmp_path: Path) -> None:
    made = plan(tmp_path, KAFKA_OPTS="-Dx", PGDATA="/elsewhere", PATH="/bin")
    (kafka,) = [part for part in made.parts if part.name == "kafka"]
    assert kafka.env == {"PATH": "/bin"}


def test_the_split_layout_has_a_worker_for_each_stage(tmp_path: Path) -> None:
    made = plan(tmp_path, StackOptions(home=tmp_path, layout="split"))
    workers = {part.name: part for part in made.parts if part.name.startswith("worker")}
    assert {name: part.argv[-1] for name, part in workers.items()} == {
        f"worker-{stage}": stage
        for stage in ("dispatch", "ai", "tools", "outbound", "memory", "transcripts")
    }
    assert len({part.env["WORKER_PORT"] for part in workers.values()}) == len(workers)


@pytest.mark.parametrize("layout", ["all-in-one", "split"])
def test_offsets_are_moved_to_the_layout_before_its_workers_start(
    tmp_path: Path, layout: Layout
) -> None:
    made = plan(tmp_path, StackOptions(home=tmp_path, layout=layout))
    (step,) = [part for part in made.parts if part.name == "prepare"]
    assert step.argv[-3:] == ("prepare", "--layout", layout)
    workers = [part for part in made.parts if part.name.startswith("worker")]
    assert {"prepare"} <= set.intersection(*(set(part.needs) for part in workers))


def test_several_workers_have_names_and_ports_of_their_own(tmp_path: Path) -> None:
    made = plan(tmp_path, StackOptions(home=tmp_path, workers=3))
    workers = [part for part in made.parts if part.name.startswith("worker")]
    assert [part.name for part in workers] == ["worker", "worker-2", "worker-3"]
    assert [part.env["INSTANCE"] for part in workers] == ["worker", "worker-2", "worker-3"]
    assert len({part.env["WORKER_PORT"] for part in workers}) == 3


def test_a_stack_for_one_stage_leaves_out_the_workers_of_all_others(tmp_path: Path) -> None:
    options = StackOptions(
        home=tmp_path, layout="split", workers=2, without=("api", *beside("outbound", 2))
    )

    found = names(plan(tmp_path, options))

    assert {name for name in found if name.startswith(("worker", "api"))} == {
        "worker-outbound",
        "worker-outbound-2",
    }


def test_our_processes_are_ours_whatever_lies_in_the_current_folder(tmp_path: Path) -> None:
    (tmp_path / "streams").mkdir()
    (tmp_path / "streams" / "__init__.py").write_text("raise SystemExit('not ours')")
    (model,) = [part for part in plan(tmp_path).parts if part.name == "model"]
    command = [*model.argv, "--help"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)  # noqa: S603 - ours
    assert (ran.returncode, ran.stderr) == (0, "")


def test_the_simulator_is_told_what_it_is_to_be(tmp_path: Path) -> None:
    options = StackOptions(home=tmp_path, simulator=("--rules", "meta", "--mps", "20"))
    (simulator,) = [part for part in plan(tmp_path, options).parts if part.name == "simulator"]
    assert simulator.argv[-4:] == ("--rules", "meta", "--mps", "20")


def test_with_a_movable_clock_all_processes_read_one_and_brokers_take_any_time(
    tmp_path: Path,
) -> None:
    made = plan(tmp_path, StackOptions(home=tmp_path, movable_clock=True))
    ours = [part for part in made.parts if part.own]
    assert {part.env["CLOCK_FILE"] for part in ours} == {str(tmp_path / "run" / "clock")}
    assert made.written["CLOCK_FILE"] == str(tmp_path / "run" / "clock")
    assert "CLOCK_FILE" not in plan(tmp_path).written
    limit = "log.message.timestamp.after.max.ms"
    ports = ((20000, 21000),)
    assert limit not in Cluster(home=tmp_path, ports=ports).properties(0)
    assert limit in Cluster(home=tmp_path, ports=ports, any_time=True).properties(0)


def test_nothing_of_ours_runs_when_only_the_infrastructure_is_wanted(tmp_path: Path) -> None:
    made = plan(tmp_path, StackOptions(home=tmp_path, own=False))
    assert names(made) == {"kafka", "registry", "postgres", "redis"}


def test_a_wish_for_another_number_of_brokers_than_the_data_has_is_refused(tmp_path: Path) -> None:
    envfile.write(tmp_path / envfile.NAME, plan(tmp_path).written)
    with pytest.raises(Misconfigured, match=r"1 broker\(s\), not of 3"):
        plan(tmp_path, StackOptions(home=tmp_path, brokers=3))


def test_three_brokers_are_kept_at_the_next_start(tmp_path: Path) -> None:
    first = plan(tmp_path, StackOptions(home=tmp_path, brokers=3))
    envfile.write(tmp_path / envfile.NAME, first.written)
    assert {"kafka-1", "kafka-2", "kafka-3"} <= names(plan(tmp_path))
    assert first.written["TOPIC_REPLICATION"] == "3"


def test_settings_of_a_stack_reach_our_own_processes_and_choose_ports(tmp_path: Path) -> None:
    (free,) = choose(("webhook",), {}).values()
    given = {"SESSION_TIMEOUT_S": "6", "WEBHOOK_PORT": str(free), "API_PORT": "0"}
    made = plan(tmp_path, StackOptions(home=tmp_path, settings=given), API_PORT="8001")
    (worker,) = (part for part in made.parts if part.name == "worker")
    assert worker.env["SESSION_TIMEOUT_S"] == "6"
    assert made.ports["webhook"] == free
    assert made.ports["api"] != 8001
    assert worker.env["API_PORT"] == str(made.ports["api"])


def test_our_processes_find_the_brokers_where_their_fronts_are(tmp_path: Path) -> None:
    fronts = ((20_001, 20_002),)
    made = plan(tmp_path, StackOptions(home=tmp_path, fronts=fronts))
    properties = Cluster(home=tmp_path, ports=((20_000, 21_000),), fronts=fronts).properties(0)
    assert made.written["KAFKA_BOOTSTRAP"] == "127.0.0.1:20002"
    assert "FRONT://127.0.0.1:20001" in properties["listeners"]
    assert "FRONT://127.0.0.1:20002" in properties["advertised.listeners"]
    assert properties["inter.broker.listener.name"] == "PLAINTEXT"


def test_the_offline_model_is_as_slow_as_asked(tmp_path: Path) -> None:
    made = plan(tmp_path, StackOptions(home=tmp_path, latency_ms=1500))
    (model,) = (part for part in made.parts if part.name == "model")
    assert model.argv[-2:] == ("--latency-ms", "1500")


@pytest.mark.parametrize(("brokers", "spare"), [(1, False), (2, False), (3, True)])
def test_only_a_cluster_with_a_quorum_goes_on_without_a_broker(
    tmp_path: Path, brokers: int, spare: bool
) -> None:
    made = plan(tmp_path, StackOptions(home=tmp_path, brokers=brokers))
    assert {part.spare for part in made.parts if part.name.startswith("kafka")} == {spare}
    assert not any(part.spare for part in made.parts if not part.name.startswith("kafka"))


@pytest.mark.parametrize(("brokers", "replicas", "in_sync"), [(1, "1", "1"), (3, "3", "2")])
def test_replicas_fit_the_brokers(
    tmp_path: Path, brokers: int, replicas: str, in_sync: str
) -> None:
    ports = tuple((20000 + number, 21000 + number) for number in range(brokers))
    properties = Cluster(home=tmp_path, ports=ports).properties(0)
    assert properties["offsets.topic.replication.factor"] == replicas
    assert properties["default.replication.factor"] == replicas
    assert properties["min.insync.replicas"] == in_sync
    assert properties["auto.create.topics.enable"] == "false"
    assert "127.0.0.1" in properties["listeners"]


def test_a_jdk_that_is_not_there_is_named(tmp_path: Path) -> None:
    settings = Settings(whaticket_java_home=str(tmp_path / "jdk"))
    around = Surroundings(environment={}, cache=tmp_path, settings=settings)
    with pytest.raises(Misconfigured, match="WHATICKET_JAVA_HOME"):
        make_plan(StackOptions(home=tmp_path), around)
