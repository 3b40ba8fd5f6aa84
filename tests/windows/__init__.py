"""The agent on Windows: units and real jobs in Wine (`make test-windows`)."""
