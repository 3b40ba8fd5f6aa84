"""The life of one attempt on its agent: states, what triggers a change, what is done then. Pure.

    offer → storing → written → durable → accepted → confirm → starting → started → running
    → ended → settled

Nothing starts before the server has confirmed the acceptance, so that the server may give an
attempt whose acceptance never arrived to another agent (I1); and nothing starts before the disk
will have it after a loss of power, so that one of which a hello says nothing has never started
(I4). Which of the two comes first does not matter: `confirm` before `durable` is `confirmed`.

`docs/protocol.md` shows the same states; a test compares both.
"""

from __future__ import annotations

from enum import StrEnum, auto
from typing import Final, NamedTuple


class State(StrEnum):
    """Where an attempt is, from its offer until it may be forgotten."""

    STORING = "storing"
    """Its directory is being written: it does not count as held yet."""
    WRITTEN = "written"
    """It is accepted. The host may forget it with its power: it does not start."""
    CONFIRMED = "confirmed"
    """The same, and the server has confirmed it."""
    ACCEPTED = "accepted"
    """It is durable, has not begun, and waits for the server's confirmation."""
    FOUND = "found"
    """As accepted, but a former process of the agent may have had it started."""
    STARTING = "starting"
    """Confirmed: a shim was asked to start it."""
    STOPPING = "stopping"
    """Its end was asked for before it was known to have started; it is not started any more."""
    RUNNING = "running"
    """Its process exists."""
    SUPERSEDED = "superseded"
    """It is not this agent's any more and is being killed: nothing is said about it."""
    ENDED = "ended"
    """It is over; its log, or its end after that, has still to be sent on this link."""
    REPORTED = "reported"
    """Its whole log and its end were sent on this link."""


class Trigger(StrEnum):
    """What happens to an attempt."""

    OFFER = "offer"
    """The server offers it again."""
    STORED = "stored"
    NOT_STORED = "not stored"
    DURABLE = "durable"
    """That it is accepted is on the disk."""
    NOT_DURABLE = "not durable"
    """The disk refuses to keep that."""
    CONFIRM = "confirm"
    STARTED = "started"
    END = "end"
    """It is over on this host."""
    REPORT = "report"
    """All of its log is sent, and the server can be told of its end."""
    CANCEL = "cancel"
    KEEP = "keep"
    """The server's ruling after a hello: it is this agent's; its log goes on at an offset."""
    REWIND = "rewind"
    SUPERSEDE = "supersede"
    SETTLE = "settle"


class Action(StrEnum):
    """What is done about it, in the order of a transition's actions."""

    ACCEPT = auto()
    FORCE = auto()
    """Have the disk keep that it is accepted."""
    KEEP_SECRETS = auto()
    """Those that came with the confirmation, for its start."""
    START = auto()
    ASK_INPUT = auto()
    SAY_STARTED = auto()
    """Nothing for one that has not started."""
    SAY_PROGRESS = auto()
    """`started`, or `accept` for one that has not started."""
    SEND_LOG = auto()
    """Upload what is unsent, then report the end if there is one."""
    SAY_ENDED = auto()
    STOP = auto()
    GIVE_UP = auto()
    """End it as lost: it must not start."""
    KILL = auto()
    FORGET = auto()
    REFUSE_UNSTORED = auto()
    REFUSE_STILL_ENDING = auto()


class Transition(NamedTuple):
    """The next state, None when nothing is left of the attempt, and what is done."""

    state: State | None
    actions: tuple[Action, ...] = ()


_FORGOTTEN: Final = Transition(None, (Action.FORGET,))
_KILLED: Final = Transition(State.SUPERSEDED, (Action.KILL,))
_GIVEN_UP: Final = Transition(State.STOPPING, (Action.GIVE_UP,))
_SENT_AGAIN: Final = Transition(State.ENDED, (Action.SEND_LOG,))
_REPEATED: Final = (Action.ACCEPT, Action.SAY_STARTED)
_NOT_DURABLE: Final = {
    # What the server says anew it confirms anew.
    Trigger.OFFER: Transition(State.WRITTEN, (Action.ACCEPT,)),
    Trigger.KEEP: Transition(State.WRITTEN, (Action.ACCEPT, Action.SEND_LOG)),
    Trigger.CONFIRM: Transition(State.CONFIRMED, (Action.KEEP_SECRETS,)),
    Trigger.NOT_DURABLE: _GIVEN_UP,
    Trigger.END: Transition(State.ENDED, (Action.SEND_LOG,)),
    Trigger.CANCEL: Transition(State.STOPPING, (Action.STOP,)),
    Trigger.SUPERSEDE: _FORGOTTEN,
}
"""Of an attempt that does not start yet, whatever the server says."""


def _waiting(superseded: Transition) -> dict[Trigger, Transition]:
    """Of an attempt that waits for its confirmation."""
    return {
        Trigger.OFFER: Transition(State.ACCEPTED, (Action.ACCEPT,)),
        Trigger.CONFIRM: Transition(State.STARTING, (Action.START, Action.ASK_INPUT)),
        Trigger.STARTED: Transition(State.RUNNING, (Action.SAY_STARTED, Action.ASK_INPUT)),
        Trigger.END: Transition(State.ENDED, (Action.SEND_LOG,)),
        Trigger.CANCEL: Transition(State.STOPPING, (Action.STOP,)),
        Trigger.KEEP: Transition(State.ACCEPTED, (Action.ACCEPT, Action.SEND_LOG)),
        Trigger.SUPERSEDE: superseded,
    }


TRANSITIONS: Final[dict[State, dict[Trigger, Transition]]] = {
    State.STORING: {
        Trigger.STORED: Transition(State.WRITTEN, (Action.ACCEPT, Action.FORCE)),
        Trigger.NOT_STORED: Transition(None, (Action.REFUSE_UNSTORED,)),
    },
    State.WRITTEN: _NOT_DURABLE | {Trigger.DURABLE: Transition(State.ACCEPTED)},
    State.CONFIRMED: _NOT_DURABLE
    | {Trigger.DURABLE: Transition(State.STARTING, (Action.START, Action.ASK_INPUT))},
    State.ACCEPTED: _waiting(superseded=_FORGOTTEN),
    State.FOUND: _waiting(superseded=_KILLED)
    | {
        # What it may have begun is not undone by being offered or kept.
        Trigger.OFFER: Transition(State.FOUND, (Action.ACCEPT,)),
        Trigger.KEEP: Transition(State.FOUND, (Action.ACCEPT, Action.SEND_LOG)),
        Trigger.NOT_DURABLE: _GIVEN_UP,
    },
    State.STARTING: {
        Trigger.OFFER: Transition(State.STARTING, _REPEATED),
        Trigger.STARTED: Transition(State.RUNNING, (Action.SAY_STARTED,)),
        Trigger.END: Transition(State.ENDED, (Action.SEND_LOG,)),
        Trigger.CANCEL: Transition(State.STARTING, (Action.STOP,)),
        Trigger.KEEP: Transition(
            State.STARTING, (Action.ACCEPT, Action.ASK_INPUT, Action.SEND_LOG)
        ),
        Trigger.SUPERSEDE: _KILLED,
    },
    State.STOPPING: {
        Trigger.OFFER: Transition(State.STOPPING, _REPEATED),
        Trigger.STARTED: Transition(State.RUNNING, (Action.SAY_STARTED, Action.ASK_INPUT)),
        Trigger.END: Transition(State.ENDED, (Action.SEND_LOG,)),
        Trigger.CANCEL: Transition(State.STOPPING, (Action.STOP,)),
        Trigger.KEEP: Transition(State.STOPPING, (Action.SAY_PROGRESS, Action.SEND_LOG)),
        Trigger.SUPERSEDE: _KILLED,
    },
    State.RUNNING: {
        Trigger.OFFER: Transition(State.RUNNING, _REPEATED),
        Trigger.END: Transition(State.ENDED, (Action.SEND_LOG,)),
        Trigger.CANCEL: Transition(State.RUNNING, (Action.STOP,)),
        Trigger.KEEP: Transition(
            State.RUNNING, (Action.SAY_STARTED, Action.ASK_INPUT, Action.SEND_LOG)
        ),
        Trigger.SUPERSEDE: _KILLED,
    },
    State.SUPERSEDED: {
        Trigger.OFFER: Transition(State.SUPERSEDED, (Action.REFUSE_STILL_ENDING,)),
        Trigger.END: _FORGOTTEN,
        # Taken back again meanwhile: it dies all the same, but its end is reported.
        Trigger.KEEP: Transition(State.STOPPING, (Action.SAY_PROGRESS, Action.SEND_LOG)),
    },
    State.ENDED: {
        Trigger.OFFER: _SENT_AGAIN,
        Trigger.REPORT: Transition(State.REPORTED, (Action.SAY_ENDED,)),
        Trigger.KEEP: _SENT_AGAIN,
        Trigger.SUPERSEDE: _FORGOTTEN,
        Trigger.SETTLE: _FORGOTTEN,
    },
    State.REPORTED: {
        Trigger.OFFER: _SENT_AGAIN,
        Trigger.REWIND: Transition(State.ENDED),
        Trigger.KEEP: _SENT_AGAIN,
        Trigger.SUPERSEDE: _FORGOTTEN,
        Trigger.SETTLE: _FORGOTTEN,
    },
}
"""What a trigger does in a state. What is not here changes nothing: a message that comes late, or
an event that is repeated. Only to settle what has not ended breaks the protocol."""

OVER: Final = frozenset({State.ENDED, State.REPORTED})
SILENT: Final = frozenset({State.STORING, State.SUPERSEDED})
"""States in which nothing is said about an attempt."""
EXPECTED_TO_RUN: Final = frozenset(State) - OVER - {State.SUPERSEDED}
"""States of an attempt that takes a part of the capacity."""
