"""The agent: runs the jobs of one host and streams their output to the server."""

__version__ = "0.1.0"
