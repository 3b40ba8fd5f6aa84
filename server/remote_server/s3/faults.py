"""What went wrong with a bucket, as a sentence with its cure. Pure.

The library's own texts go over pages with addresses, headers and traces; of them only a code, a
status and the system's words are taken.
"""

from __future__ import annotations

import re
from typing import Final

_CODE: Final = re.compile(r"<Code>(\w{1,64})</Code>|\(code: (\w{1,64})\)")
_STATUS: Final = re.compile(r"status code: (\d{3})")
_SYSTEM: Final = re.compile(r'(?:message|error): "([^"\\]{1,200})"')
_TLS: Final = re.compile(r"invalid peer certificate: (\w+)|InvalidCertificate\(\s*(\w+)")
_PROVIDER: Final = re.compile(r"External AWS credential provider: \w+: ([^\n]{1,600})")
_METADATA: Final = re.compile(r"(/latest/api/token|/latest/meta-data|/v2/credentials|169\.254\.)")

_BY_CODE: Final = {
    "NoSuchBucket": "the bucket does not exist; make it, or mend the name",
    "InvalidAccessKeyId": "the access key is not known there; check AWS_ACCESS_KEY_ID or the "
    "profile",
    "SignatureDoesNotMatch": "the secret key does not fit the access key; check "
    "AWS_SECRET_ACCESS_KEY or the profile",
    "ExpiredToken": "the session's token has expired; give new keys, or use a role",
    "InvalidToken": "the session's token is not valid; give new keys, or use a role",
    "RequestTimeTooSkewed": "the clock of this host is wrong; set it",
    "PermanentRedirect": "the bucket is in another region; set [s3] region or AWS_REGION",
    "AuthorizationHeaderMalformed": "the bucket is in another region; set [s3] region or "
    "AWS_REGION",
    "IllegalLocationConstraintException": "the bucket is in another region; set [s3] region or "
    "AWS_REGION",
    "SlowDown": "it asks for fewer requests",
    "InvalidObjectState": "the object is in cold storage; restore it there first",
    "KMS.NotFoundException": "the key of encryption is not there; check [s3] kms_key",
}
_DENIED: Final = (
    "access is denied; the keys or the role need s3:GetObject, s3:PutObject, s3:DeleteObject and "
    "s3:ListBucket"
)


def words(text: str) -> str:
    """What the text of the library's error says, shortly."""
    if found := _PROVIDER.search(text):
        return found[1]
    code = next((a or b for a, b in _CODE.findall(text)), "")
    if code in _BY_CODE:
        return f"{_BY_CODE[code]} ({code})"
    status = _status(text)
    if status in (401, 403):
        return f"{_DENIED} ({code or status})"
    if status in (301, 307):
        return f"{_BY_CODE['PermanentRedirect']} ({status})"
    if status:
        return f"it answered {status}" + (f" ({code})" if code else "")
    return _unreachable(text)


def _status(text: str) -> int:
    found = _STATUS.search(text)
    return int(found[1]) if found else 0


def _unreachable(text: str) -> str:
    if _METADATA.search(text):
        return (
            "there are no keys: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, name a profile by "
            "AWS_PROFILE, or give this host or pod a role"
        )
    if found := _TLS.search(text):
        return f"its certificate is not trusted ({found[1] or found[2]}); set [s3] ca_file"
    if "InvalidContentType" in text:
        return "it does not speak TLS there; write the endpoint with http://"
    if "TimedOut" in text or "Timeout" in text:
        return "it does not answer"
    if found := _SYSTEM.search(text):
        return f"it cannot be reached: {found[1]}"
    return "it cannot be reached"
