"""SHA256SUMS of what was built, and its detached ed25519 signature. Touches files in one folder.

The key comes from the file that REMOTE_SIGNING_KEY_FILE names (PEM, PKCS #8, as `openssl genpkey
-algorithm ed25519` writes it). Without a key there is no signature, and the build says so. To
check:

    openssl pkeyutl -verify -pubin -inkey public.pem -rawin -in SHA256SUMS -sigfile SHA256SUMS.sig
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Final

from installers.binary.payload import BuildError

KEY_FILE: Final = "REMOTE_SIGNING_KEY_FILE"
SUMS: Final = "SHA256SUMS"
SIGNATURE: Final = "SHA256SUMS.sig"


def write_sums(folder: Path) -> None:
    """Write the sums of all files of the folder, as `sha256sum --check` reads them."""
    names = sorted(
        p.name for p in folder.iterdir() if p.is_file() and p.name not in (SUMS, SIGNATURE)
    )
    lines = [
        f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}" for name in names
    ]
    (folder / SUMS).write_text("\n".join(lines) + "\n")


def sign(folder: Path) -> str:
    """Sign the sums if there is a key; a sentence about it. BuildError for a key that is none."""
    (folder / SIGNATURE).unlink(missing_ok=True)
    file = os.environ.get(KEY_FILE)
    if not file:
        return f"{SUMS} is not signed: {KEY_FILE} names no key"
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(Path(file).read_bytes(), None)
    except (OSError, ValueError, TypeError) as error:
        raise BuildError(f"{KEY_FILE}: {file} cannot be used as a key: {error}") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise BuildError(
            f"{KEY_FILE}: {file} holds no ed25519 key: openssl genpkey -algorithm ed25519"
        )
    (folder / SIGNATURE).write_bytes(key.sign((folder / SUMS).read_bytes()))
    return f"{SUMS} is signed: {SIGNATURE}"
