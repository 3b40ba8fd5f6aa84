"""The journal: what this agent durably knows about its attempts. One directory for each."""

from remote_agent.journal.directory import AttemptRecord, StartRecord
from remote_agent.journal.journal import Journal
from remote_agent.journal.settled import SettledLog

__all__ = ["AttemptRecord", "Journal", "SettledLog", "StartRecord"]
