"""`remote_server.s3.faults`: the library's texts, as they come, become sentences."""

from __future__ import annotations

import pytest

from remote_server.s3.faults import words


def answered(status: str, code: str = "") -> str:
    body = f"<Error><Code>{code}</Code></Error>" if code else ""
    return (
        "Generic S3 error: Error performing PUT http://127.0.0.1:1/b/p in 2ms - Server returned "
        f'non-2xx status code: {status}: {body}\n\nDebug source:\nGeneric {{ store: "S3", }}'
    )


def failed(debug: str, url: str = "http://127.0.0.1:1/b/x") -> str:
    return (
        f"Generic S3 error: Error performing HEAD {url} in 2ms - HTTP error: error sending request"
        f"\n\nDebug source:\n{debug}"
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (answered("404 Not Found", "NoSuchBucket"), "the bucket does not exist; make it"),
        (answered("403 Forbidden", "InvalidAccessKeyId"), "check AWS_ACCESS_KEY_ID or the profile"),
        (answered("403 Forbidden", "AccessDenied"), "s3:ListBucket (AccessDenied)"),
        (answered("403 Forbidden"), "access is denied"),
        ("DeleteObjects request failed for x: no. (code: AccessDenied)", "cannot be reached"),
        (answered("301 Moved Permanently"), "set [s3] region or AWS_REGION (301)"),
        (answered("503 Slow Down", "SlowDown"), "fewer requests"),
        (answered("500 Internal", "InternalError"), "it answered 500 (InternalError)"),
        (failed('message: "Connection refused",'), "it cannot be reached: Connection refused"),
        (
            failed('error: "failed to lookup address information: Name or service not known",'),
            "Name or service not known",
        ),
        (failed("source: TimedOut,"), "it does not answer"),
        (failed("InvalidMessage(\n InvalidContentType,"), "does not speak TLS"),
        (failed("invalid peer certificate: UnknownIssuer"), "(UnknownIssuer); set [s3] ca_file"),
        (
            failed('message: "Connection refused"', "http://169.254.169.254/latest/api/token"),
            "there are no keys: set AWS_ACCESS_KEY_ID",
        ),
        (
            "External AWS credential provider: ProfileUnusable: the profile x is empty\n\nDebug",
            "the profile x is empty",
        ),
        ("something new", "it cannot be reached"),
    ],
)
def test_one_sentence_is_made_of_many_lines(text: str, said: str) -> None:
    found = words(text)
    assert said in found
    assert "\n" not in found and "http://" not in found.replace("with http://", "")
