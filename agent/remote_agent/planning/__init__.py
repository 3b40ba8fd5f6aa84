"""From an offer to the start order of its shim. Only the planner of a kind knows what it needs."""
