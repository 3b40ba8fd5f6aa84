"""`remote_server.log_settings`: what becomes of logs that have ended."""

from __future__ import annotations

from pathlib import Path

from remote_server.config import load
from remote_server.s3_settings import S3Place
from tests.server.test_config import faults, written


def test_an_archive_in_a_bucket_is_configured(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        '[logs]\narchive = "s3://logs/prod"\n[s3]\nendpoint = "https://minio.example:9000/"\n'
        'encryption = "aws:kms"\nkms_key = "alias/x"\n',
    )
    found = load(file, {"REMOTE_SERVER_S3_REGION": "eu-west-1"})
    assert found.logs.archive == S3Place("logs", "prod")
    assert (found.s3.endpoint, found.s3.region) == ("https://minio.example:9000", "eu-west-1")
    assert load(None, {}).logs.archive is None
    assert load(None, {}).logs.copies is None


def test_places_that_are_in_each_others_way() -> None:
    archive = {"REMOTE_SERVER_LOGS_ARCHIVE": "s3://logs"}
    said = faults(env={**archive, "REMOTE_SERVER_LOGS_ARCHIVE_DIR": "/mnt"})
    assert "REMOTE_SERVER_LOGS_ARCHIVE: [logs] archive: archive_dir names another place" in said
    said = faults(env={**archive, "REMOTE_SERVER_LOGS_COPIES": "s3://logs/"})
    assert "[logs] copies: is the archive" in said
    load(None, {**archive, "REMOTE_SERVER_LOGS_COPIES": "s3://logs/copies"})
