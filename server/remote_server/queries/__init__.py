"""What is shown of jobs, agents and queues: read from the store and the live links. Read-only."""
