"""`remote_server.s3_settings`: places in buckets, and how they are reached."""

from __future__ import annotations

import pytest

from remote_server.s3_settings import S3Place, as_place
from tests.server.test_config import faults


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("s3://my-bucket", S3Place("my-bucket", "")),
        ("s3://my-bucket/", S3Place("my-bucket", "")),
        ("s3://my.bucket/a/b_c.d/", S3Place("my.bucket", "a/b_c.d")),
    ],
)
def test_places(text: str, place: S3Place) -> None:
    assert as_place(text) == place
    assert as_place(str(place)) == place


@pytest.mark.parametrize(
    "text",
    ["", "my-bucket", "s3://", "s3://My", "s3://ab", "s3://key:secret@bucket", "s3://bucket//a",
     "s3://bucket/../a", "s3://bucket/a b", "https://bucket", "s3://bucket/" + "a" * 600],
)  # fmt: skip
def test_what_is_no_place(text: str) -> None:
    with pytest.raises(ValueError, match="for example s3://my-bucket/logs") as caught:
        as_place(text)
    assert "secret" not in str(caught.value)


def test_what_does_not_fit_together_is_named() -> None:
    said = faults(
        env={
            "REMOTE_SERVER_S3_KMS_KEY": "k",
        }
    )
    assert 'REMOTE_SERVER_S3_KMS_KEY: [s3] kms_key: needs encryption = "aws:kms"' in said
    said = faults(env={"REMOTE_SERVER_S3_ENDPOINT": "https://key:hidden@minio.example"})
    assert "is not the address of an S3 server" in said and "hidden" not in said
    assert "archive: is not a place" in faults(env={"REMOTE_SERVER_LOGS_ARCHIVE": "bucket"})
