"""The section `[s3]` of the configuration, and URLs of places in buckets. Pure.

Keys are never a part of it: they come the way that all programs of AWS get them.
"""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal, NamedTuple

from pydantic import AfterValidator, BeforeValidator, Field

from remote_protocol.configuration import Layers
from remote_server.setting_values import ExpandedPath, Part

_PLACE: Final = re.compile(
    r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(?P<prefix>[A-Za-z0-9._/-]*))?"
)
_ENDPOINT: Final = re.compile(r"https?://[A-Za-z0-9.\[\]:-]+")
_LONGEST_PREFIX: Final = 512


class S3Place(NamedTuple):
    """A folder of a bucket."""

    bucket: str
    prefix: str
    """Without slashes at its ends; empty: the whole bucket."""

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")


def as_place(value: object) -> object:
    """`s3://BUCKET[/PREFIX]`. ValueError."""
    if isinstance(value, S3Place) or value is None:
        return value
    found = _PLACE.fullmatch(str(value))
    prefix = (found["prefix"] or "").removesuffix("/") if found else ""
    parts = prefix.split("/") if prefix else []
    if not found or len(prefix) > _LONGEST_PREFIX or any(p in ("", ".", "..") for p in parts):
        # Without the value: somebody may have put a key into it.
        raise ValueError(
            "is not a place in a bucket, for example s3://my-bucket/logs: a bucket's name of small "
            "letters, digits, dots and dashes, and folders of letters, digits, dots, dashes and "
            "underscores"
        )
    return S3Place(found["bucket"], prefix)


def as_endpoint(value: str) -> str:
    """The address of a server that speaks S3. ValueError, without the value."""
    if not _ENDPOINT.fullmatch(value.rstrip("/")):
        raise ValueError(
            "is not the address of an S3 server, for example https://minio.example:9000; keys do "
            "not belong in it"
        )
    return value.rstrip("/")


PlaceInBucket = Annotated[S3Place, BeforeValidator(as_place)]


class S3Part(Part):
    """`[s3]`: how buckets are reached that other sections name."""

    endpoint: Annotated[str, AfterValidator(as_endpoint)] | None = None
    """URL of a server that is not AWS, such as MinIO; null: AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL
    where they are set, else AWS."""
    region: str | None = Field(default=None, pattern=r"^[A-Za-z0-9-]{1,64}$")
    """Null: AWS_REGION, AWS_DEFAULT_REGION or us-east-1."""
    ca_file: ExpandedPath | None = None
    """Certificates of CAs (PEM) that are trusted beside the system's."""
    encryption: Literal["AES256", "aws:kms"] | None = None
    """What objects are encrypted with on the side of the storage; null: as the bucket says."""
    kms_key: str | None = Field(default=None, min_length=1, max_length=2048)
    """Id or ARN of the key, with `aws:kms`; null: that of the account."""


def check(layers: Layers, s3: S3Part) -> None:
    """Note what does not fit together."""
    if s3.kms_key is not None and s3.encryption != "aws:kms":
        layers.fault(("s3", "kms_key"), 'needs encryption = "aws:kms"')
