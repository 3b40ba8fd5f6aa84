"""The server: keeps jobs, hands them to agents and stores their logs."""

__version__ = "0.1.0"
