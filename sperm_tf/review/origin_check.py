"""Refuses what another web page sends to the review page through the reader's browser, DNS rebinding among it.

A site may let its own name point to 127.0.0.1; the browser then takes the review page for a part of that site and lets
its scripts read and write there. The header `Host` still has the site's name, and `Origin` that of the page that sends.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.responses import PlainTextResponse

_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_EVERY_ADDRESS = ("0.0.0.0", "::", "[::]")
_HTTP_PORT = 80
_AUTHORITY = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::([0-9]{1,5}))?", re.ASCII | re.IGNORECASE)
_ORIGIN = "http://"
_HEADERS = (b"host", b"origin")

Scope = MutableMapping[str, Any]
Application = Callable[[Scope, Any, Any], Awaitable[None]]


class OriginCheck:
    """ASGI middleware that gives HTTP 403 to requests with a foreign `Host` or `Origin`.

    Own names are those of the loopback, the stated host, and the address that the connection was made to; of a server
    that listens on every address the machine's name, too. The port must be the server's. A request without `Origin` is
    let through: browsers send it with every POST and with what scripts of other sites read, programs need not.

    Args:
        app: the application behind it.
        host: address or name that the page was told to listen on.
    """

    def __init__(self, app: Application, *, host: str):
        self._app = app
        self._names = {*_LOOPBACK, _bracket(host)}
        if host in _EVERY_ADDRESS:
            self._names.add(socket.gethostname().lower())

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Handles one request or connection."""
        if scope["type"] not in ("http", "websocket") or self._is_own(scope):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            text = (
                "Refused: Host and Origin must be this server's own name and port. Open the address that "
                "python -m pipelines.review printed, or state the name with --host.\n"
            )
            await PlainTextResponse(text, 403)(scope, receive, send)

    def _is_own(self, scope: Scope) -> bool:
        hosts, origins = (
            [value.decode("latin-1") for name, value in scope["headers"] if name == header] for header in _HEADERS
        )
        address, port = scope.get("server") or ("", None)
        names = {*self._names, _bracket(address)}
        authorities = [*hosts, *(origin.removeprefix(_ORIGIN) for origin in origins)]
        return (
            len(hosts) == 1
            and all(origin.startswith(_ORIGIN) for origin in origins)
            and all(_is_among(authority, names, port) for authority in authorities)
        )


def _is_among(authority: str, names: set[str], port: int | None) -> bool:
    match = _AUTHORITY.fullmatch(authority)
    return match is not None and match[1].lower() in names and int(match[2] or _HTTP_PORT) == port


def _bracket(host: str) -> str:
    """A host as it stands in an address."""
    return f"[{host}]".lower() if ":" in host and not host.startswith("[") else host.lower()
