"""The running agent: its parts put together, driven by one session, ended in order."""
