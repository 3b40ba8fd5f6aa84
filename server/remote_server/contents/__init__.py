"""Contents: files and bundles that jobs name by their SHA-256, kept while jobs need them."""

from remote_server.contents.local import LocalContents
from remote_server.contents.ports import ContentStore, ContentUnavailable
from remote_server.contents.upkeep import ContentUpkeep
from remote_server.contents.uploads import ContentUploads

__all__ = [
    "ContentStore",
    "ContentUnavailable",
    "ContentUpkeep",
    "ContentUploads",
    "LocalContents",
]
