"""One HTTP request with a deadline for all of it; no redirect is followed, and no endless reply read."""

from __future__ import annotations

import functools
import http.client
import io
import socket
import threading
import time
import urllib.error
import urllib.request
from typing import Any

MAX_REPLY_BYTES = 64 << 20
"""The maps of every class for a request of the client are a fiftieth of it."""
_MAX_HEAD_BYTES = 1 << 20
_MAX_ERROR_BYTES = 500


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Makes a redirect the error that it is here: images go to the host that was named, and to no other."""

    def redirect_request(self, *_args, **_options):
        return None


class _BoundedStream(io.RawIOBase):
    """What a socket receives, until a point in time and up to a number of bytes.

    Every byte is counted, those of headers and chunk sizes too: `http.client` reads any number of interim responses,
    and a chunk with a negative size to the end of the connection.
    """

    def __init__(self, sock: socket.socket, end: float):
        self._sock, self._file, self._end = sock, sock.makefile("rb", buffering=0), end
        self._left = MAX_REPLY_BYTES + _MAX_HEAD_BYTES

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left_s = self._end - time.monotonic()
        if left_s <= 0:
            raise TimeoutError("the reply was not whole in time")
        self._sock.settimeout(left_s)  # without, it would start anew with every byte
        count = self._file.readinto(buffer)  # type: ignore[attr-defined]
        self._left -= count or 0
        if self._left < 0:
            raise OSError(f"the reply has more than {MAX_REPLY_BYTES:,} bytes")
        return count

    def close(self) -> None:
        self._file.close()
        super().close()


class _BoundedResponse(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, end: float, **options: Any):
        super().__init__(sock, *args, **options)
        self.fp.close()
        self.fp = io.BufferedReader(_BoundedStream(sock, end))


class _BoundedHandler(urllib.request.HTTPHandler, urllib.request.HTTPSHandler):
    """Opens `http` and `https` addresses with bounded responses.

    Args:
        end: when the reply has to be whole, by `time.monotonic`.
    """

    def __init__(self, end: float):
        super().__init__()
        self._end = end

    def http_open(self, request: urllib.request.Request) -> Any:
        """Opens `http://`; called by urllib."""
        return self.do_open(functools.partial(self._connect, http.client.HTTPConnection), request)  # type: ignore

    def https_open(self, request: urllib.request.Request) -> Any:
        """Opens `https://`; called by urllib."""
        return self.do_open(functools.partial(self._connect, http.client.HTTPSConnection), request)  # type: ignore

    def _connect(self, kind: type[http.client.HTTPConnection], host: str, **options: Any) -> Any:
        connection = kind(host, **options)
        connection.response_class = functools.partial(_BoundedResponse, end=self._end)  # type: ignore
        return connection


class RefusedError(OSError):
    """The server replied with another code than 2xx.

    Attributes:
        code: of HTTP.
        detail: the beginning of the body.
        retry_after: of the header of that name, seconds or a date; empty without one.
    """

    def __init__(self, code: int, detail: str, retry_after: str):
        super().__init__(f"HTTP {code}: {detail}")
        self.code, self.detail, self.retry_after = code, detail, retry_after


def post(url: str, body: bytes, *, timeout_s: float) -> bytes:
    """Posts JSON and reads the whole reply.

    Args:
        url: `http://` or `https://`.
        body: the JSON.
        timeout_s: seconds from the look-up of the host's name to the last byte of the reply.

    Raises:
        ValueError: the address is of another kind.
        RefusedError: the code is not 2xx.
        TimeoutError: the reply was not whole in time.
        OSError: no connection, or a reply of more than `MAX_REPLY_BYTES`.
        http.client.HTTPException: what replies does not speak HTTP, or ends before the length that it stated.
    """
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    if request.type not in ("http", "https"):
        raise ValueError(f"target must be http://host:port or https://host:port. Received: {url!r}")
    outcome: list[bytes | Exception] = []

    def work() -> None:
        try:
            outcome.append(_exchange(request, timeout_s))
        except Exception as error:  # raised below, in the caller's thread
            outcome.append(error)

    # Looking up a name has no time limit: its thread can be left behind.
    thread = threading.Thread(target=work, daemon=True, name="sperm_tf-request")
    thread.start()
    thread.join(timeout_s)
    if not outcome:
        raise TimeoutError("the reply was not whole in time")
    (found,) = outcome
    if isinstance(found, Exception):
        raise found
    return found


def _exchange(request: urllib.request.Request, timeout_s: float) -> bytes:
    opener = urllib.request.build_opener(_NoRedirects, _BoundedHandler(time.monotonic() + timeout_s))
    try:
        with opener.open(request, timeout=timeout_s) as response:
            content = response.read(MAX_REPLY_BYTES + 1)
            if response.length and len(content) <= MAX_REPLY_BYTES:
                raise http.client.IncompleteRead(content[:_MAX_ERROR_BYTES], response.length)
    except urllib.error.HTTPError as error:
        with error:
            detail = error.read(_MAX_ERROR_BYTES).decode(errors="replace")
        if location := error.headers.get("Location"):
            detail = f"a redirect to {location[:200]!r}, which is not followed"
        raise RefusedError(error.code, detail, error.headers.get("Retry-After", "")) from error
    if len(content) > MAX_REPLY_BYTES:
        raise OSError(f"the reply has more than {MAX_REPLY_BYTES:,} bytes")
    return content
