"""`remotectl run --each`: one job on every matching agent, as one group."""

from __future__ import annotations

from typing import Final

from remote_client.cli.group_watch import GroupWatch
from remote_client.cli.group_words import agents_in_words
from remote_client.cli.interrupts import INTERRUPTED, Interrupts
from remote_client.cli.output import drop_stdout, note, one_line, print_json, say
from remote_client.cli.session import Session
from remote_client.errors import ApiError, ClientError, Unreachable, UsageError
from remote_client.transport import Document

_NOWHERE: Final = 125
"""As of a job that could not be run."""
_UNREAD: Final = 141
"""128 + SIGPIPE, as of any program in a pipe whose reader has gone."""


def explain_each(session: Session, group: Document, output: str) -> int:
    """Say which agents it would have; 0 when there are some."""
    try:
        found = session.calls.explain_group(group)
    except ApiError as error:
        raise _as_usage(error) from None
    if output == "json":
        print_json(found)
    elif not found.get("size"):
        say(one_line(f"No agent of queue {found.get('queue')!r} matches."))
    else:
        say(one_line(f"It would run on {agents_in_words(found)}."))
        for agent in found.get("agents") or ():
            say(one_line(str(agent)))
    return 0 if found.get("size") else _NOWHERE


def run_each(
    session: Session,
    wanted: Document,
    output: str,
    *,
    detach: bool,
    as_json: bool,
    cancel_on_broken_pipe: bool,
) -> int:
    """Submit a group and follow it to its end; the exit code."""
    interrupts = Interrupts(session, "group")
    group = _submit(session, wanted, interrupts)
    if group is None:
        return INTERRUPTED
    if detach and not interrupts.requested:
        if output == "json":
            print_json(group)
        else:
            say(group["id"])
        return 0
    note(f"group {group['id']}: {agents_in_words(group)}")
    if group.get("unavailable"):
        note(
            "their jobs wait for them; --online-only leaves such agents out, --expires-in 10m "
            "gives up on them"
        )
    return _watch(session, group, as_json, cancel_on_broken_pipe)


def _submit(session: Session, wanted: Document, interrupts: Interrupts) -> Document | None:
    try:
        interrupts.install()
        group = session.calls.submit_group(wanted, sending=interrupts.sending)
    except KeyboardInterrupt:
        note("interrupted before anything was sent: no group was submitted")
        return None
    except Unreachable as error:
        if interrupts.sent:
            raise Unreachable(
                f"{error}\nThe server may have got the group all the same; see: remotectl group "
                "list"
            ) from None
        raise
    except ApiError as error:
        if error.code == "unknown_agent":
            session.failed = _NOWHERE
        raise _as_usage(error) from None
    interrupts.submitted(group["id"])
    return group


def _as_usage(error: ApiError) -> ClientError:
    """The faults of a group under the names that they have here; any other refusal as it is."""
    if error.code != "validation" or not error.faults:
        return error
    from remote_client.cli.job_spec import flag

    lines = []
    for field, words in error.faults:
        name = field.removeprefix("spec.").removeprefix("select.")
        lines.append(f"{flag(name)}: {words}")
    return UsageError("\n  ".join(["The group is not valid:", *lines]))


def _watch(session: Session, group: Document, as_json: bool, cancel_on_broken_pipe: bool) -> int:
    """Follow the group; whatever keeps us from it, say what becomes of it."""
    identity = group["id"]
    watch = GroupWatch(session, group, aside=as_json)
    try:
        code = watch.run()
        if as_json:
            print_json(watch.group)
        return code
    except BrokenPipeError:
        if cancel_on_broken_pipe:
            note(f"nobody reads its output any more: cancelling the group {identity}")
            reason = "nobody reads the output of remotectl run"
            session.calls.cancel_group(identity, reason, persistent=True)
        else:
            note(f"nobody reads its output any more; {_left(identity)}")
        drop_stdout()
        return _UNREAD
    except (ClientError, OSError):
        note(_left(identity))
        raise


def _left(group: str) -> str:
    return (
        f"the group {group} is left to itself; see: remotectl group show {group}; end it with: "
        f"remotectl group cancel {group}"
    )
