"""Real servers that speak S3, as processes: moto, which keeps AWS's order and codes but looks at no
signature, and SeaweedFS, which does and keeps what it has over a kill. Both below `build/s3`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import httpx
import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from tests.support.ports import free_port
from tests.support.stack import Program, until

PACKAGES: Final = Path(__file__).resolve().parents[2] / "build" / "s3" / "packages"
KEYS: Final = ("AKIAWRITER", "secret-of-the-writer")
READER: Final = ("AKIAREADER", "secret-of-the-reader")


def _environment(**more: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": "/nonexistent", **more}


class Storage:
    """A server; `url` is its endpoint, `program` its process."""

    program: Program
    url: str

    def store(self, bucket: str, keys: tuple[str, str] = KEYS) -> S3Store:
        """A bucket of it, for tests."""
        return S3Store(
            bucket,
            config={
                "aws_endpoint_url_s3": self.url,
                "access_key_id": keys[0],
                "secret_access_key": keys[1],
                "region": "us-east-1",
            },
            client_options={"allow_http": True, "timeout": "5s"},
            retry_config={"max_retries": 0},
        )

    def variables(self, keys: tuple[str, str] = KEYS) -> Mapping[str, str]:
        """What a program needs that uses it."""
        return {"AWS_ACCESS_KEY_ID": keys[0], "AWS_SECRET_ACCESS_KEY": keys[1]}

    def make(self, bucket: str, deadline: float = 60) -> None:
        """Make a bucket, once the server is there."""
        until(lambda: self._made(bucket), f"{self.url} makes {bucket}", deadline)

    def _made(self, bucket: str) -> bool:
        raise NotImplementedError

    def close(self) -> None:
        """End it."""
        if self.program.running:
            self.program.kill()


class Moto(Storage):
    """moto's server. Everything is gone with it."""

    def __init__(self, folder: Path) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.program = Program(
            "moto",
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", port],
            _environment(PYTHONPATH=str(PACKAGES)),
            folder / "moto.out",
        ).start()

    def _made(self, bucket: str) -> bool:
        try:
            answer = httpx.put(
                f"{self.url}/{bucket}",
                headers={"Authorization": "AWS4-HMAC-SHA256 Credential=a/20261127/us-east-1/s3/x"},
            )
        except httpx.TransportError:
            return False
        assert answer.status_code in (200, 409), answer.text
        return True


class SeaweedFS(Storage):
    """One process of SeaweedFS with all of its parts; `restart` keeps what it has."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "weed"
        self.folder.mkdir()
        self.sockets = Path("/tmp") / f"weed-{uuid.uuid4().hex[:12]}"
        self.sockets.mkdir(mode=0o700)
        names = ("Admin", "Read", "Write", "List", "Tagging")
        identities = {
            "identities": [
                _identity("writer", KEYS, names),
                _identity("reader", READER, ("Read", "List")),
            ]
        }
        file = folder / "identities.json"
        file.write_text(json.dumps(identities))
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        command: list[object] = [PACKAGES / "bin" / "weed", "server", f"-dir={self.folder}"]
        command += ["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3", f"-s3.config={file}", "-filer"]
        command += [f"-s3.port={port}", f"-s3.port.grpc={free_port()}"]
        command += ["-s3.port.iceberg=0", "-s3.port.lance=0"]
        for part in ("master", "volume", "filer"):
            command += [f"-{part}.port={free_port()}", f"-{part}.port.grpc={free_port()}"]
        command += ["-volume.max=50", "-master.volumeSizeLimitMB=64"]
        command += [f"-filer.localSocket={self.sockets}/f", f"-s3.localSocket={self.sockets}/s"]
        self.program = Program("weed", command, _environment(), folder / "weed.out").start()

    def restart(self) -> None:
        """Start it after a kill."""
        self.program.start()

    def close(self) -> None:
        super().close()
        shutil.rmtree(self.sockets, ignore_errors=True)

    def _made(self, bucket: str) -> bool:
        # A bucket is made by the first object; parts of the server come one after the other.
        assert self.program.running, self.program.words()[-4000:]
        try:
            obstore.put(self.store(bucket), "ready", b"x")
            obstore.delete(self.store(bucket), "ready")
        except BaseError:
            return False
        return True


def _identity(name: str, keys: tuple[str, str], actions: tuple[str, ...]) -> dict[str, object]:
    credentials = [{"accessKey": keys[0], "secretKey": keys[1]}]
    return {"name": name, "credentials": credentials, "actions": list(actions)}


def installed() -> None:
    """Fails where `tests/s3/set_up.sh` has not been run."""
    done = subprocess.run(["test", "-x", PACKAGES / "bin" / "weed"], check=False)
    assert done.returncode == 0, "run: make test-s3"
