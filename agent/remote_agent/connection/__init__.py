"""The way to the server: who this agent is, where the server is, the link, the log bytes on it."""
