"""One HTTP request with a deadline for all of it; no redirect is followed, and no endless reply read."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request

MAX_REPLY_BYTES = 64 << 20
"""The maps of every class for a request of the client are a fiftieth of it."""
_MAX_ERROR_BYTES = 500


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Makes a redirect the error that it is here: images go to the host that was named, and to no other."""

    def redirect_request(self, *_args, **_options):
        return None


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
        http.client.HTTPException: what replies does not speak HTTP.
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

    # A socket's timeout starts anew with every byte, and looking up a name has none: a thread can be left behind.
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
    opener = urllib.request.build_opener(_NoRedirects)
    try:
        with opener.open(request, timeout=timeout_s) as response:
            content = response.read(MAX_REPLY_BYTES + 1)
    except urllib.error.HTTPError as error:
        with error:
            detail = error.read(_MAX_ERROR_BYTES).decode(errors="replace")
        if location := error.headers.get("Location"):
            detail = f"a redirect to {location[:200]!r}, which is not followed"
        raise RefusedError(error.code, detail, error.headers.get("Retry-After", "")) from error
    if len(content) > MAX_REPLY_BYTES:
        raise OSError(f"the reply has more than {MAX_REPLY_BYTES:,} bytes")
    return content
