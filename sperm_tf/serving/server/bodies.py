"""Reads bodies of requests within the bounds of memory."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from starlette.requests import Request

from sperm_tf.serving.server.limits import Limits, RequestError


class Bodies:
    """The bodies that the server holds, all together.

    Args:
        limits: bounds.
    """

    def __init__(self, limits: Limits):
        self._limits, self.held_bytes = limits, 0

    @contextlib.asynccontextmanager
    async def read(self, request: Request) -> AsyncIterator[bytes]:
        """The body of a request, which counts as held until the end of the block.

        Raises:
            RequestError: 413 for a body that is too large, by its header or by what comes; 503 where others hold all
                that may be held.
        """
        declared = request.headers.get("content-length", "0")
        self._check_size(int(declared) if declared.isascii() and declared.isdecimal() else 0)
        chunks: list[bytes] = []
        size = 0
        try:
            async for chunk in request.stream():
                size += len(chunk)
                self.held_bytes += len(chunk)
                self._check_size(size)
                if self.held_bytes > self._limits.held_bytes:
                    raise RequestError(
                        503, "the requests that are worked on hold all memory that they may", retry_after_s=1
                    )
                chunks.append(chunk)
            yield b"".join(chunks)
        finally:
            self.held_bytes -= size

    def _check_size(self, size: int) -> None:
        if size > self._limits.request_bytes:
            raise RequestError(
                413,
                f"the body must have at most {self._limits.request_bytes:,} bytes. Send fewer images in a request, or "
                "start the server with a larger --max_request_mb",
            )
