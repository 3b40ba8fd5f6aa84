"""What the server remembers. Only this package knows the database; it hands out domain types."""

from remote_server.store.listing import JobFilter
from remote_server.store.opening import Terms
from remote_server.store.store import Store

__all__ = ["JobFilter", "Store", "Terms"]
