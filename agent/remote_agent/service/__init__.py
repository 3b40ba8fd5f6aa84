"""Installs the agent as a service of the host."""
