"""A DAG bundle with versions, as git has them: a folder for each, a file names the newest."""

from __future__ import annotations

from pathlib import Path

from airflow.dag_processing.bundles.base import BaseDagBundle, BundleVersion


class VersionedFolder(BaseDagBundle):
    """Versions are the folders in `root`; `root/newest` says which one is current."""

    supports_versioning = True

    def __init__(self, *, root: str, **more: object) -> None:
        super().__init__(**more)
        self._root = Path(root)

    def get_current_version(self) -> BundleVersion:
        return BundleVersion(self.version or (self._root / "newest").read_text())

    def refresh(self) -> None:
        """Nothing is fetched."""

    @property
    def path(self) -> Path:
        return self._root / self.get_current_version().version
