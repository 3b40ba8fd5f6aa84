"""The chaos run: a real server and real agents, many jobs, seeded faults, and a checker."""
