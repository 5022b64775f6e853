"""Connections that bind no memory for ever: uvicorn's have no time limit for a header, nor for a reader that stops."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

_GRACE_S = 5.0  # for the response to a request whose time is over


def limit_connections(*, header_s: float, request_s: float) -> type[H11Protocol]:
    """A protocol for `uvicorn.Config(http=...)` that closes connections which come to no end.

    Args:
        header_s: seconds from the first byte of a request, or the connection, to the end of its header.
        request_s: seconds that the application needs at most; the response has to be read a few seconds later.
    """

    class LimitedProtocol(H11Protocol):
        def __init__(self, *args: Any, **options: Any):
            super().__init__(*args, **options)
            self._timer: asyncio.TimerHandle | None = None
            self._timed_cycle: Any = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._start(header_s)

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            if self._timer is None:  # the first bytes after a response
                self._start(header_s)
            super().data_received(data)

        def handle_events(self) -> None:
            super().handle_events()
            if self.cycle is not None and self.cycle is not self._timed_cycle and not self.cycle.response_complete:
                self._timed_cycle = self.cycle
                self._start(request_s + _GRACE_S)

        def on_response_complete(self) -> None:
            if self.cycle is not None and not self.cycle.more_body:
                self._stop()  # else the rest of a body that was refused is awaited, within the same time
            super().on_response_complete()

        def _start(self, seconds: float) -> None:
            self._stop()
            self._timer = self.loop.call_later(seconds, self.transport.abort)

        def _stop(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    return LimitedProtocol
