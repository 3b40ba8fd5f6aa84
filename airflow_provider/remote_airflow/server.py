"""The calls of remote-server's API that this provider makes, synchronous. Network only.

Refused         the server has answered and will not do it; repeating changes nothing
Unavailable     no answer, or one that says: later
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO, Final

import httpx

from remote_airflow.settings import Settings, SettingsError

SILENCE: Final = 45.0
"""Seconds; a silent stream of the server has an empty line every 15."""
MOST_LOOKED_UP: Final = 500
_LATER: Final = frozenset({401, 403, 408, 425, 429})
"""Statuses that a person or time cures: what was to be done is kept meanwhile."""
_NOT_OURS: Final = frozenset({400, 404, 405, 421, 426})
"""Statuses of another program, where they come without the code that ours gives."""
_LONGEST: Final = 600
_PART: Final = 1 << 20
"""Bytes of a content in one call."""
_MOST_GAPS: Final = 10
_BYTES: Final = {"Content-Type": "application/octet-stream"}


class Refused(Exception):
    """The server does not do it; the text is its sentence, then comes the HTTP status."""

    def __init__(self, words: str, status: int | None = None, code: str = "") -> None:
        super().__init__(words, status)
        self.code = code
        """The stable name of the error."""


class Unavailable(Exception):
    """The server cannot be asked now; the text says why."""


class Server:
    """One server, over one pool of connections; may be used by several threads."""

    def __init__(self, settings: Settings, timeout: float = 20.0) -> None:
        self._settings = settings
        self._timeout = timeout
        self._client: httpx.Client | None = None
        self.heard_at = time.monotonic()
        """When it answered last, or said in its stream that it is alive; at first: now."""

    def close(self) -> None:
        """Close its connections."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def submit_each(self, bodies: Sequence[dict[str, Any]]) -> list[str | Refused]:
        """Submit jobs in one call: the id of each in order, or why it alone was refused. A repeated
        one gives the first job."""
        answer = self._call("POST", "/jobs/batch", {"jobs": list(bodies), "atomic": False})
        return [
            str(one["id"])
            if one.get("id")
            else Refused(str(one["detail"])[:_LONGEST], one.get("status"), str(one["code"]))
            for one in answer["results"]
        ]

    def cancel(self, job: str, reason: str) -> None:
        """Ask for a job's end; one that is gone is no fault."""
        try:
            self._call("POST", f"/jobs/{job}/cancel", {"reason": reason})
        except Refused as refused:
            if refused.args[1:] != (404,):
                raise

    def look_up(
        self, wanted: Sequence[tuple[str, str | None]], timeout: float | None = None
    ) -> tuple[dict[str, dict[str, Any]], set[str]]:
        """The jobs of dispatches, by their ids or by the idempotency keys that this token submitted
        them with; and the dispatches that are not known."""
        found: dict[str, dict[str, Any]] = {}
        for at in range(0, len(wanted), MOST_LOOKED_UP):
            part = wanted[at : at + MOST_LOOKED_UP]
            body = {
                "ids": [job for _, job in part if job is not None],
                "idempotency_keys": [dispatch for dispatch, job in part if job is None],
            }
            answer = self._call("POST", "/jobs/lookup", body, timeout=timeout)
            jobs = {job["id"]: job for job in answer["items"]}
            for dispatch, job in part:
                shown = jobs.get(job or answer["keys"].get(dispatch, ""))
                if shown is not None:
                    found[dispatch] = shown
        return found, {dispatch for dispatch, _ in wanted} - found.keys()

    def send_content(self, digest: str, size: int, file: BinaryIO) -> None:
        """See to it that the server has a file that jobs name by its SHA-256: what it has already
        is not sent again."""
        path = f"/contents/{digest}"
        answer = self._call("GET", path)
        at, gaps = int(answer["received"]), 0
        while answer["state"] != "complete":
            file.seek(min(at, size))
            part = file.read(_PART)
            try:
                params = {"size": str(size), "offset": str(min(at, size))}
                answer = self._call("PATCH", path, params=params, data=part)
            except Refused as refused:
                # Another scheduler sends it, too, or the server gave it up meanwhile.
                gaps += 1
                if refused.code != "content_gap" or gaps > _MOST_GAPS:
                    raise
                answer = self._call("GET", path)
            at = int(answer["received"])

    def jobs(self, filters: dict[str, str], timeout: float | None = None) -> list[dict[str, Any]]:
        """One page of jobs, the newest first."""
        answer = self._call("GET", "/jobs", None, filters, timeout)
        return list(answer["items"])

    def get(self, path: str) -> Any:
        """Any other answer of the API."""
        return self._call("GET", path)

    def last_event(self) -> int:
        """The number of the newest event."""
        params = {"after": "-1", "follow": "false"}
        with self._stream("/events", params, "application/x-ndjson") as answer:
            for line in answer.iter_lines():
                if line.strip():
                    return int(json.loads(line)["after"])
        raise Unavailable("the server did not say where its events end")

    def events(self, after: int, states: Sequence[str]) -> Iterator[dict[str, Any] | None]:
        """Changes of jobs after a number, as they happen; None: nothing new, and it is alive."""
        params: dict[str, Any] = {"after": str(after), "follow": "true", "state": list(states)}
        with self._stream("/events", params, "application/x-ndjson") as answer:
            try:
                for line in answer.iter_lines():
                    self.heard_at = time.monotonic()
                    yield json.loads(line) if line.strip() else None
            except (httpx.HTTPError, ValueError) as error:
                raise self._unavailable(error) from None

    def log(self, job: str, offset: int, most: int) -> bytes:
        """At most so many bytes of what a job has written to its standard output, from there on."""
        found = bytearray()
        for piece in self.log_pieces(job, offset):
            found += piece
            if len(found) >= most:
                break
        return bytes(found[:most])

    def last_errors(self, job: str, lines: int) -> bytes:
        """The last lines that a job has written to its standard error; at most 64 KiB."""
        params = {"stream": "stderr", "tail": str(lines)}
        with self._stream(f"/jobs/{job}/log", params, "text/plain") as answer:
            try:
                return next(answer.iter_bytes(65536), b"")
            except httpx.HTTPError as error:
                raise self._unavailable(error) from None

    def log_pieces(self, job: str, offset: int = 0) -> Iterator[bytes]:
        """What a job has written to its standard output by now, from there on, in pieces."""
        params = {"stream": "stdout", "offset": str(offset)}
        with self._stream(f"/jobs/{job}/log", params, "text/plain") as answer:
            try:
                yield from answer.iter_bytes(65536)
            except httpx.HTTPError as error:
                raise self._unavailable(error) from None

    def _call(
        self,
        method: str,
        path: str,
        body: Any = None,
        params: dict[str, str] | None = None,
        timeout: float | None = None,
        data: bytes | None = None,
    ) -> Any:
        try:
            answer = self._http().request(
                method,
                self._url(path),
                json=body,
                content=data,
                params=params,
                headers=self._headers("application/json") | (_BYTES if data is not None else {}),
                timeout=timeout or self._timeout,
            )
        except (httpx.HTTPError, SettingsError) as error:
            raise self._unavailable(error) from None
        _check(answer, self._settings.url)
        try:
            found = answer.json()
        except ValueError:
            raise _another(self._settings.url) from None
        self.heard_at = time.monotonic()
        return found

    def _stream(self, path: str, params: dict[str, Any], media: str) -> _Stream:
        try:
            request = self._http().build_request(
                "GET",
                self._url(path),
                params=params,
                headers=self._headers(media),
                timeout=httpx.Timeout(self._timeout, read=SILENCE),
            )
            answer = self._http().send(request, stream=True)
        except (httpx.HTTPError, SettingsError) as error:
            raise self._unavailable(error) from None
        try:
            if answer.status_code >= 400:
                answer.read()
            _check(answer, self._settings.url)
        except (Refused, Unavailable):
            answer.close()
            raise
        except httpx.HTTPError as error:
            answer.close()
            raise self._unavailable(error) from None
        return _Stream(answer)

    def _unavailable(self, error: Exception) -> Unavailable:
        return Unavailable(_words(error, self._settings.url))

    def _http(self) -> httpx.Client:
        if self._client is None:
            verify: Any = self._settings.ca_file or True
            if isinstance(verify, str):
                verify = _trusted(verify)
            self._client = httpx.Client(verify=verify, timeout=self._timeout)
        return self._client

    def _url(self, path: str) -> str:
        return f"{self._settings.url}/api/v1{path}"

    def _headers(self, media: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._settings.bearer()}", "Accept": media}


class _Stream:
    """An answer that is closed when it is left."""

    def __init__(self, answer: httpx.Response) -> None:
        self._answer = answer

    def __enter__(self) -> httpx.Response:
        return self._answer

    def __exit__(self, *_: object) -> None:
        self._answer.close()


def _trusted(file: str) -> Any:
    """Who may sign the server's certificate. SettingsError."""
    import ssl

    try:
        return ssl.create_default_context(cafile=file)
    except OSError as error:
        # What OpenSSL says of a file without certificates is an OSError, too.
        raise SettingsError(
            f"[remote] ca_file {file} cannot be used ({error.strerror or error}): it is a file of "
            "certificates (PEM) that the programs of Airflow can read"
        ) from None


def _check(answer: httpx.Response, url: str) -> None:
    status = answer.status_code
    if status < 400:
        return
    code = ""
    try:
        problem = answer.json()
        said, code = str(problem["detail"]), str(problem.get("code", ""))
    except (ValueError, KeyError, TypeError, AttributeError):
        said = f"it answered {status}"
    if status >= 500 or status in _LATER:
        raise Unavailable(f"the server answered {status}: {said[:_LONGEST]}")
    if not code and status in _NOT_OURS:
        raise _another(url)
    raise Refused(said[:_LONGEST], status, code)


def _another(url: str) -> Unavailable:
    return Unavailable(
        f"what answers at {url} is no remote-server; check [remote] url: it is the address that "
        "its agents have, without a path, and not Airflow's"
    )


def _words(error: Exception, url: str) -> str:
    """What a failure of the network says, with the address and the cure."""
    if isinstance(error, SettingsError | ValueError):
        return str(error)
    said = str(error) or type(error).__name__
    if isinstance(error, httpx.ProxyError):
        cure = "it is asked by a proxy; check HTTPS_PROXY and NO_PROXY"
    elif "WRONG_VERSION_NUMBER" in said:
        cure = "it speaks no TLS; is its address one of http://?"
    elif "CERTIFICATE_VERIFY_FAILED" in said:
        cure = "name who signed its certificate by [remote] ca_file"
    elif isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        cure = "check that it runs, that this host reaches it, and [remote] url"
    else:
        return f"{url}: {said}"
    return f"{url} is not reached ({said}): {cure}"
