"""The Python client of the server's HTTP API and the command line tool remotectl."""

__version__ = "0.1.0"
