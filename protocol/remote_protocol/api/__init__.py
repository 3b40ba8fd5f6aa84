"""The bodies of the HTTP API under `/api/v1`, one module for each resource. Pure."""
