"""The store on SQLite: a file, one process, inline in the event loop."""
