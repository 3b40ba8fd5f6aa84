"""The journal: what this agent durably knows about its attempts. One directory for each."""

from remote_agent.journal.directory import Record, Started
from remote_agent.journal.journal import Journal, Kept

__all__ = ["Journal", "Kept", "Record", "Started"]
