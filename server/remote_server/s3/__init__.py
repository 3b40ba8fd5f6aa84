"""One bucket of an object storage that speaks S3. Imports the packages of the extra `s3`: nobody
does it who was not told of a bucket."""

from remote_server.s3.bucket import Bucket, S3Unavailable, open_bucket

__all__ = ["Bucket", "S3Unavailable", "open_bucket"]
