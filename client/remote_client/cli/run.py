"""`remotectl run`: submit a job, stream its output live, end with its exit code."""

from __future__ import annotations

from typing import Any

import click

from remote_client.cli.completed import completed
from remote_client.cli.group_options import group_of, take_group_options
from remote_client.cli.interrupts import INTERRUPTED, Interrupts
from remote_client.cli.job_spec import job_spec, send_first, title
from remote_client.cli.options import DURATION, NAME, PAIR, REASONS, SIZE, Command, output_option
from remote_client.cli.output import note, print_json, say
from remote_client.cli.session import Session, pass_session
from remote_client.cli.stdin import Stdin, is_sent
from remote_client.cli.submitted import OURS, Ending, as_usage, asks_for_json, submit, watch
from remote_client.errors import ApiError, UsageError
from remote_client.transport import Document

_EPILOG = """\b
Exit code: the job's own; 124 timeout; 125 it could not be run, lacked a secret, expired or was
lost; 130 cancelled; 137 memory limit; 141 nobody reads the output any more (| head);
255 remotectl itself failed; 2 the call is wrong. Of a group (--each): 0 only if all
succeeded, 1 if not, 125 no agent matches, 130 cancelled, 141 and 255 as above.
\b
Ctrl-C cancels the job or the whole group, a second one exits at once.
\b
Examples:
  remotectl run -- uname -a
  remotectl run --queue berlin --label gpu=true --timeout 1h --file train.py -- python3 train.py
  remotectl run --file report.sql --file conf/prod.toml:conf.toml -- psql -f report.sql
  cat data.csv | remotectl run -- python3 -c 'import sys; print(len(sys.stdin.read()))'
  remotectl run --script deploy.sh -- staging
  pass show ci | remotectl run --private-input - --shell sh -- 'read -r token; echo ${#token}'
  remotectl run --python --requirements requirements.txt -- report.py --year 2026
  remotectl run --python --bundle . -- report.py --year 2026
  remotectl run --shell bash -- 'for i in 1 2 3; do echo $i; sleep 1; done'
  remotectl run --image python:3.13-slim --memory 1GiB --file job.py -- python3 job.py
  remotectl run --queue berlin --label gpu=true --explain -- python3 train.py
  remotectl run --each --label role=web --max-parallel 5 --halt-on-failures 1 -- uptime
  remotectl run --detach --output json -- backup --full | jq -r .id
"""


@click.command(cls=Command, epilog=_EPILOG, context_settings={"allow_interspersed_args": False})
@click.option(
    "--queue",
    envvar="REMOTE_QUEUE",
    metavar="Q",
    shell_complete=completed("queues"),
    help="Where it waits for an agent; default: the server's default queue. [env: REMOTE_QUEUE]",
)
@click.option(
    "--agent",
    type=NAME,
    shell_complete=completed("agents"),
    help="Only this agent; it must serve the queue.",
)
@click.option(
    "--each",
    is_flag=True,
    help="Run it on every agent that serves the queue and has the labels, as one group.",
)
@click.option(
    "--max-parallel",
    type=click.IntRange(min=1),
    metavar="N",
    help="With --each: on at most N agents at the same time.",
)
@click.option(
    "--halt-on-failures",
    type=click.IntRange(min=1),
    metavar="N",
    help="With --each: start no other job once N have failed; what runs goes on.",
)
@click.option(
    "--online-only",
    is_flag=True,
    help="With --each: leave out agents that are offline, paused or draining, instead of waiting "
    "for them.",
)
@click.option("--name", help="A name for people.")
@click.option(
    "--env",
    "-e",
    "env",
    multiple=True,
    metavar="K[=V]",
    help="A variable; without =V, its value here.",
)
@click.option(
    "--secret",
    "secrets",
    multiple=True,
    metavar="NAME[:file]",
    help="A secret that the job gets as the variable NAME; with :file, as a file in memory whose "
    "path NAME_FILE has.",
)
@click.option(
    "--private-input",
    metavar="FILE",
    help="Text for the job's stdin that nobody is shown, at most 64 KiB (-: stdin, at a terminal a "
    "hidden line). Nothing else is sent to its stdin.",
)
@click.option(
    "--relay",
    type=NAME,
    metavar="NAME",
    help="Reach a program that only the server reaches, by a relay that its configuration names: "
    "its address is in REMOTE_RELAY_URL.",
)
@click.option(
    "--mask",
    is_flag=True,
    help="Let the job add values to mask, by the file that REMOTE_MASK names.",
)
@click.option("--label", multiple=True, type=PAIR, help="A label that the agent must have.")
@click.option("--annotation", multiple=True, type=PAIR, help="What `job list` can find it by.")
@click.option("--timeout", type=DURATION, help="The longest that it may run, e.g. 10m.")
@click.option("--grace-period", type=DURATION, help="Between polite signal and kill (default 10s).")
@click.option("--memory", type=SIZE, help="The most memory that it may use, e.g. 512MiB.")
@click.option(
    "--weight",
    type=click.FloatRange(0, 1, min_open=True),
    help="Share of the agent's capacity, up to 1.0 (alone).",
)
@click.option("--priority", type=int, default=0, help="Higher goes first.")
@click.option("--max-attempts", type=int, default=1, show_default=True, help="Attempts in all.")
@click.option(
    "--retry-on",
    multiple=True,
    type=click.Choice(REASONS),
    metavar="REASON",
    help="End reason to retry (default lost).",
)
@click.option("--expires-in", type=DURATION, help="Give up when it has not started by then.")
@click.option("--cwd", metavar="DIR", help="Directory on the agent's host.")
@click.option(
    "--file",
    "files",
    multiple=True,
    metavar="LOCAL[:REMOTE]",
    help="File or directory for the work directory, of any size.",
)
@click.option("--shell", metavar="PROGRAM", help="Run COMMAND, joined by spaces, by this shell.")
@click.option(
    "--image",
    metavar="IMAGE",
    help="Run COMMAND in a container of this image, on an agent that has docker or podman; without "
    "COMMAND, what the image says.",
)
@click.option(
    "--pull",
    type=click.Choice(["missing", "always", "never"]),
    help="When the image is fetched (default missing).",
)
@click.option(
    "--entrypoint", metavar="PROGRAM", help="Run this instead of the image's entry point."
)
@click.option("--user", metavar="USER", help="Who runs it in the container, e.g. 1000:1000.")
@click.option("--network", metavar="NAME", help="Its network, one that the agent allows: none.")
@click.option(
    "--mount",
    "mounts",
    multiple=True,
    metavar="HOSTDIR:DIR[:ro]",
    help="A directory of the agent's host that the agent lets jobs mount.",
)
@click.option("--init", is_flag=True, help="Have a small init be the container's process 1.")
@click.option(
    "--script",
    metavar="FILE",
    help="Run this local file (-: stdin), by --shell or what its #! line names; COMMAND are its "
    "arguments.",
)
@click.option(
    "--python",
    is_flag=True,
    help="COMMAND is a local Python file, which is sent with the job, and its arguments.",
)
@click.option("--module", metavar="NAME", help="With --python: run this module instead of a file.")
@click.option(
    "--bundle",
    metavar="DIR|ZIP|WHEEL",
    help="With --python: the whole program; COMMAND is a file in it. A wheel needs --module.",
)
@click.option(
    "--requirements",
    metavar="FILE",
    help="With --python: what it requires, installed before; default: a bundle's requirements.txt, "
    "or the dependencies in its pyproject.toml (none: /dev/null).",
)
@click.option("--python-version", metavar="3.N", help="With --python: which Python runs it.")
@click.option(
    "--environment",
    metavar="NAME",
    help="With --python: the environment that the agent has prepared under this name.",
)
@click.option(
    "--preload",
    multiple=True,
    metavar="MODULE",
    help="With --python: have it forked from an interpreter that has imported this; repeatable.",
)
@click.option(
    "--preload-env",
    multiple=True,
    metavar="NAME",
    help="A variable of --env that those modules need when they are imported; repeatable.",
)
@click.option(
    "--spec",
    metavar="FILE",
    help="The job as a JSON document, as POST /jobs takes it (-: stdin); other options override "
    "its fields.",
)
@click.option(
    "--explain",
    is_flag=True,
    help="Say whether and where it would run, and submit nothing. Exit code 0: now, or when an "
    "agent has room; 1: after somebody has acted; 125: nowhere.",
)
@click.option("--no-stdin", "-n", is_flag=True, help="Do not send stdin to the job.")
@click.option("--stdin", "forced", is_flag=True, help="Send stdin even from a terminal.")
@click.option("--merge-output", is_flag=True, help="One pipe for both outputs: the order is exact.")
@click.option("--detach", is_flag=True, help="Print the job's id and return.")
@click.option(
    "--cancel-on-broken-pipe",
    is_flag=True,
    envvar="REMOTE_CANCEL_ON_BROKEN_PIPE",
    help="Cancel it when nobody reads the output any more (| head), instead of leaving it. "
    "[env: REMOTE_CANCEL_ON_BROKEN_PIPE]",
)
@output_option
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@pass_session
def run(
    session: Session,
    /,
    detach: bool,
    explain: bool,
    no_stdin: bool,
    forced: bool,
    cancel_on_broken_pipe: bool,
    output: str,
    **options: Any,
) -> int:
    """Run COMMAND on an agent and stream what it prints.

    With --each it runs on many agents: each line of output stands behind the name of its agent,
    and a table on stderr says how each ended.

    Its stdout comes to stdout and its stderr to stderr, byte for byte, while it runs. Options
    after the first word of COMMAND are COMMAND's own. A pipe or file at stdin goes to the job's
    stdin, as it comes; nobody but the job waits for its end. With --output json, the job's output
    goes to stderr, and stdout gets the job once it has ended; with --detach, as it was submitted.
    A TRACEPARENT in the environment (W3C Trace Context) names the trace that the job continues.
    """
    session.failed = OURS
    group = take_group_options(options)
    from_stdin = [name for name in ("script", "spec", "private_input") if options[name] == "-"]
    if len(from_stdin) > 1:
        one, other = (f"--{name.replace('_', '-')}" for name in from_stdin[:2])
        raise UsageError(f"{one} - and {other} - both read standard input; name a file for one")
    if options["private_input"] is not None:
        _private(options, group is not None, forced, explain)
    contents: list[Any] = []
    spec = job_spec(options, contents)
    if str(spec.get("shell")).startswith("-"):
        raise UsageError(
            f"--shell needs the name of a shell; {spec['shell']!r} is none: write "
            "--shell bash -- 'COMMAND'"
        )
    if contents and not (explain or send_first(session, contents)):
        return INTERRUPTED
    if group is not None:
        if forced:
            raise UsageError("--stdin contradicts --each: send the data with --file instead")
        # Loaded for groups only: most jobs are none, and somebody waits for each line.
        from remote_client.cli.fan_out import explain_each, run_each

        wanted = group_of(spec, group)
        if explain:
            return explain_each(session, wanted, output)
        return run_each(
            session,
            wanted,
            output,
            detach=detach,
            as_json=asks_for_json(),
            cancel_on_broken_pipe=cancel_on_broken_pipe,
        )
    if explain:
        return _explained(session, spec, output)
    # A job has one input.
    taken = no_stdin or bool(from_stdin or spec.get("private_input"))
    if forced and taken:
        raise UsageError(
            "--stdin contradicts --no-stdin, --script -, --spec - and private input; leave one of "
            "them out"
        )
    if is_sent(forced, taken, detach):
        spec["stdin"] = True
    interrupts = Interrupts(session)
    job = submit(session, spec, interrupts)
    if job is None:
        return INTERRUPTED
    stdin = Stdin(session, job["id"]) if spec.get("stdin") else None
    if stdin is not None and detach:
        stdin.send()
    elif stdin is not None:
        stdin.start()
    if not detach or interrupts.requested or (stdin is not None and stdin.breaks_off):
        ending = Ending(title(spec), cancel_on_broken_pipe, asks_for_json(), stdin)
        return watch(session, job, ending)
    if stdin is not None:
        note(f"{stdin.sent} of standard input are with the server; the job goes on without us")
    if output == "json":
        print_json(job)
    else:
        say(job["id"])
    return 0


def _private(options: dict[str, Any], each: bool, forced: bool, explain: bool) -> None:
    """Put a private input in place of the name of its file."""
    if each:
        raise UsageError(
            "--private-input contradicts --each, for a group has no input; give its jobs a secret "
            "with --secret"
        )
    if forced:
        raise UsageError("--stdin contradicts --private-input: a job has one input")
    from remote_client.cli.private_input import read_private_input

    text = read_private_input(options["private_input"])
    # Where nothing is submitted, the server need not know it.
    options["private_input"] = True if explain else text


def _explained(session: Session, spec: Document, output: str) -> int:
    from remote_client.cli.explanation import explain

    try:
        return explain(session, spec, output)
    except ApiError as error:
        raise as_usage(error) from None
