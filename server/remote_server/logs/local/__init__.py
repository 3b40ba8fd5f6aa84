"""Logs in directories of a local or shared file system: the adapters of `logs.ports`."""
