"""From an offer to a start order."""

from __future__ import annotations

from pathlib import Path

import pytest

from remote_agent.config import Config
from remote_agent.planning import order as module
from remote_agent.planning.kinds import plan
from remote_agent.planning.order import (
    AS_GIVEN,
    HostContext,
    encoded,
    make_order,
    nice_of,
    segments_allowed,
    terms_of,
)
from remote_agent.planning.paths import JobPaths, job_paths
from remote_agent.planning.work import Work
from remote_agent.shim.order import Order, line_of, parse, unusual
from remote_protocol.messages import Offer
from remote_protocol.spec import JobSpec
from remote_protocol.trace import traceparent_for
from tests.agent.conftest import Offers

DIRECTORY = Path("/state/attempts/J.1")
ENVIRON = {"PATH": "/bin", "HOME": "/h", "REMOTE_AGENT_TOKEN": "rat_x", "SECRET": "s"}


def order(offer: Offer, config: Config, cgroup: str | None = None) -> Order:
    paths = job_paths(str(DIRECTORY), config.agent.work_dir, None)
    host = HostContext("host-1", ENVIRON, cgroup, 0o027)
    return made_of(offer, plan(offer.spec, paths, config), paths, config, host)


def made_of(offer: Offer, work: Work, paths: JobPaths, config: Config, host: HostContext) -> Order:
    return Order(**make_order(offer, work, paths, terms_of(config, host)))


def test_the_trace_that_a_job_continues(offers: Offers, config: Config) -> None:
    given = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
    offer = offers(["true"], traceparent=given, attempt=2)
    env = order(offer, config).env
    assert env["TRACEPARENT"] == traceparent_for(offer.attempt.job, 2, given)
    own = offers(["true"], env={"TRACEPARENT": "mine"})
    assert order(own, config).env["TRACEPARENT"] == "mine"


def test_a_plain_command(offers: Offers, config: Config) -> None:
    offer = offers(["echo", "a b"], env={"TZ": "UTC"}, queue="q", attempt=3)
    made = order(offer, config)
    assert made.key == f"{offer.attempt.job}.3" and made.argv == ["echo", "a b"]
    assert made.cwd == "/state/attempts/J.1/work"
    env = {name: value for name, value in made.env.items() if name not in ("USER", "LOGNAME")}
    assert env == {
        "PATH": "/bin",
        "HOME": "/h",
        "TZ": "UTC",
        "TMPDIR": "/state/attempts/J.1/tmp",
        "REMOTE_JOB_ID": offer.attempt.job,
        "REMOTE_ATTEMPT": "3",
        "REMOTE_QUEUE": "q",
        "REMOTE_AGENT": "host-1",
        "REMOTE_WORK_DIR": "/state/attempts/J.1/work",
        "REMOTE_OUTPUTS": "/state/attempts/J.1/outputs",
        "REMOTE_ARTIFACTS": "/state/attempts/J.1/artifacts",
        "TRACEPARENT": traceparent_for(offer.attempt.job, 3, None),
    }
    assert (made.timeout, made.grace, made.stop_signal) == (None, 10.0, "SIGTERM")
    assert made.sync is False


def test_streams_are_as_the_job_wishes(offers: Offers, config: Config) -> None:
    plain = order(offers(), config)
    assert (plain.stdin, plain.merge) == (False, False)
    made = order(offers(stdin=True, merge_output=True), config)
    assert (made.stdin, made.merge) == (True, True)


def test_where_it_works(offers: Offers, config: Config) -> None:
    assert order(offers(cwd="/srv"), config).cwd == "/srv"
    assert order(offers(cwd="sub/dir"), config).cwd == "/state/attempts/J.1/work/sub/dir"
    agent = config.agent.model_copy(update={"work_dir": Path("/scratch")})
    there = config.model_copy(update={"agent": agent})
    made = order(offers(), there)
    assert made.cwd == made.env["REMOTE_WORK_DIR"] == "/scratch/J.1"
    assert job_paths(str(DIRECTORY), Path("/scratch"), None).work == Path("/scratch/J.1")


def test_where_its_outputs_are(offers: Offers, config: Config) -> None:
    assert order(offers(), config).home is None, "in the attempt's directory"
    paths = job_paths(str(DIRECTORY), None, Path("/state/jobs"))
    host = HostContext("host-1", {})
    made = made_of(offers(), Work(["true"]), paths, config, host)
    assert made.home == "/state/jobs/J.1"
    assert made.env["REMOTE_OUTPUTS"] == "/state/jobs/J.1/outputs"


def test_the_host_bounds_time_and_log(offers: Offers, config: Config) -> None:
    limits = config.limits.model_copy(update={"max_timeout": 60.0, "max_job_log": 10_000})
    bounded = config.model_copy(update={"limits": limits})
    for asked, given in ((None, 60.0), (5, 5.0), (90, 60.0)):
        assert order(offers(timeout=asked), bounded).timeout == given
    assert order(offers(max_log=5000), bounded).max_log == 5000
    assert order(offers(), bounded).max_log == 10_000
    assert order(offers(), config).max_log is None


def test_a_short_absence_of_the_server_is_borne(offers: Offers, config: Config) -> None:
    def stop_after(wanted: float | None) -> float | None:
        return order(offers(on_disconnect={"stop_after": wanted}), config).stop_after

    assert [stop_after(None), stop_after(0.5), stop_after(60)] == [None, 3.0, 60.0]


def test_a_group_is_asked_for_only_when_it_is_of_use(offers: Offers, config: Config) -> None:
    assert order(offers(), config, "/g").cgroup is None
    limited = order(offers(memory_limit="1GiB", cpu_weight=50), config, "/g")
    assert (limited.cgroup, limited.memory_limit, limited.nice) == ("/g", 1 << 30, 0)
    assert order(offers(io_weight=50), config, "/g").cgroup == "/g"
    without = order(offers(cpu_weight=50), config)
    assert (without.cgroup, without.nice) == (None, 3)


def test_nice() -> None:
    assert [nice_of(w) for w in (None, 10_000, 100, 90, 80, 50, 10, 1)] == [
        0,
        0,
        0,
        0,
        1,
        3,
        10,
        19,
    ]


def test_the_shim_has_room_to_write() -> None:
    assert [segments_allowed(kept) for kept in (1, 2, 10)] == [2, 4, 20]


def test_all_that_a_planner_wants_is_in_the_order(offers: Offers, config: Config) -> None:
    work = Work(
        ["run"],
        workload="container",
        options={"image": "alpine"},
        payload=b"hello",
        secrets=("TOKEN",),
        filter="mask",
    )
    paths = job_paths(str(DIRECTORY), None, None)
    made = made_of(offers(), work, paths, config, HostContext("host-1", ENVIRON))
    assert (made.argv, made.workload, made.options) == (["run"], "container", work.options)
    assert (made.payload, made.secrets, made.filter) == (b"hello", ["TOKEN"], "mask")


def test_only_jobs_with_secrets_or_that_ask_for_it_are_masked(
    offers: Offers, config: Config
) -> None:
    plain = order(offers(), config)
    assert (plain.filter, plain.mask_file) == (None, None) and "REMOTE_MASK" not in plain.env
    for fields in ({"secrets": ["TOKEN"]}, {"mask": True}):
        made = order(offers(**fields), config)
        assert made.filter == "mask"
        assert made.mask_file == made.env["REMOTE_MASK"] == "/state/attempts/J.1/mask"


def test_without_fifos_secrets_are_masked_and_nothing_can_be_added(
    offers: Offers, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HAS_FIFOS", False)
    made = order(offers(secrets=["TOKEN"]), config)
    assert (made.filter, made.mask_file) == ("mask", None) and "REMOTE_MASK" not in made.env
    with pytest.raises(ValueError, match=r"REMOTE_MASK\) on Windows; submit it without mask"):
        order(offers(mask=True), config)


def test_secrets_as_files_need_a_place_in_memory(offers: Offers, config: Config) -> None:
    offer = offers(secrets=["A", "B"], secret_files=["B"], env={"U": "${B}"})
    with pytest.raises(ValueError, match="for want of a file system in memory"):
        order(offer, config)
    paths = job_paths(str(DIRECTORY), None, None)
    host = HostContext("host-1", ENVIRON, secret_prefix="/dev/shm/remote-agent-0-")
    made = made_of(offer, Work(["x"]), paths, config, host)
    assert (made.secrets, made.secret_files) == (["A", "U"], ["B"])
    assert made.secret_prefix == "/dev/shm/remote-agent-0-" and "U" not in made.env
    plain = made_of(offers(), Work(["x"]), paths, config, host)
    assert (plain.secrets, plain.secret_files, plain.secret_prefix) == ([], [], "")


def test_a_virtual_environment_goes_first_in_the_path(offers: Offers) -> None:
    assert module.venv_variables(None, {"PATH": "/bin"}) == {}
    given = module.venv_variables("/opt/a", {"PATH": "/bin"})
    assert given == {"VIRTUAL_ENV": "/opt/a", "PATH": "/opt/a/bin:/bin"}
    config, paths = Config(state_dir=Path("/state")), job_paths("/state/J.1", None, None)
    host = HostContext("host-1", {"PATH": "/bin"})
    made = made_of(offers(), Work(["x"], venv="/opt/a"), paths, config, host)
    assert (made.env["PATH"], made.env["VIRTUAL_ENV"]) == ("/opt/a/bin:/bin", "/opt/a")


def test_what_a_job_was_not_given_is_the_same_in_its_order() -> None:
    fields = {name: JobSpec.model_fields[name] for name in AS_GIVEN}
    usual = {
        AS_GIVEN[name]: field.get_default(call_default_factory=True)
        for name, field in fields.items()
    }
    assert usual == {name: Order._field_defaults[name] for name in usual}


def test_what_a_job_was_given_stands_in_its_order(offers: Offers, config: Config) -> None:
    made = order(
        offers(
            ["x"],
            grace_period=3,
            stop_signal="SIGINT",
            memory_limit=1 << 30,
            cpu_weight=10,
            keep_processes=True,
            stdin=True,
            merge_output=True,
            on_disconnect={"stop_after": 60},
        ),
        config,
        "/group",
    )
    assert (made.grace, made.stop_signal, made.memory_limit) == (3, "SIGINT", 1 << 30)
    assert (made.cpu_weight, made.keep_processes, made.stdin, made.merge) == (10, True, True, True)
    assert (made.stop_after, made.cgroup, made.nice) == (60, "/group", 0)


def test_an_order_is_written_whatever_is_in_its_environment(offers: Offers, config: Config) -> None:
    made = order(offers(["ä", "\u2028", "\n"], env={"X": "é"}), config)
    assert parse(line_of(made._asdict(), encoded)) == made
    # os.environ has bytes that are no UTF-8 as lone surrogates.
    odd = made._replace(env={**made.env, "LC_ODD": "\udcff"})
    assert parse(line_of(odd._asdict(), encoded)) == odd


def test_an_order_has_only_what_is_not_as_for_most_jobs(offers: Offers, config: Config) -> None:
    paths = job_paths(str(DIRECTORY), None, None)
    terms = terms_of(config, HostContext("host-1", ENVIRON))
    made = make_order(offers(), Work(["x"]), paths, terms)
    assert made == unusual(made)
    assert made.keys() == {"key", "argv", "env", "cwd", "sync", "segments", "reserve"}
