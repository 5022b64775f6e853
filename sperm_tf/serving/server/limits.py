"""What the server takes at most, and how long it waits; and the error of a request that it refuses."""

from __future__ import annotations

import dataclasses

from sperm_tf.config_checks import check_range


@dataclasses.dataclass(frozen=True)
class Limits:
    """Bounds of memory and time.

    Attributes:
        batch_images: most images in one pass of the model, and in one request; `max_batch_size` of
            deploy/tf_serving/batching_parameters.txt.
        batch_wait_s: seconds that a batch which is not full waits for more images.
        waiting_images: images that may wait for one signature of one version; a request beyond them gets HTTP 503.
        timeout_s: seconds from the header of a request to its response; then it gets HTTP 504.
        request_bytes: size of a request's body; a larger one gets HTTP 413.
        held_bytes: of the bodies of all requests together; a request beyond them gets HTTP 503.
        header_s: seconds for the header of a request; then the connection is closed.
        connections: open at once; a request on one more gets HTTP 503.
    """

    batch_images: int = 8
    batch_wait_s: float = 0.002
    waiting_images: int = 512
    timeout_s: float = 30.0
    request_bytes: int = 64 << 20
    held_bytes: int = 256 << 20
    header_s: float = 10.0
    connections: int = 512

    def __post_init__(self):
        for name in ("batch_images", "request_bytes", "connections"):
            check_range(name, getattr(self, name), low=1)
        for name in ("batch_wait_s", "timeout_s", "header_s"):
            check_range(name, getattr(self, name), low=0)
        check_range("waiting_images", self.waiting_images, low=self.batch_images)
        check_range("held_bytes", self.held_bytes, low=self.request_bytes)


class RequestError(Exception):
    """A request without a prediction.

    Attributes:
        code: of HTTP.
        retry_after_s: whole seconds after which another try may succeed; None where it would not.
    """

    def __init__(self, code: int, message: str, *, retry_after_s: int | None = None):
        super().__init__(message)
        self.code, self.retry_after_s = code, retry_after_s
