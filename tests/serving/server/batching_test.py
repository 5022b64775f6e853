import asyncio
import concurrent.futures
import time

from tests.serving.server.running import MadeUp


def run(*requests, **limits):
    """Files and the seconds after which they are sent, one pair a request; gives the model and the answers."""
    from sperm_tf.serving.server.batching import Batcher, Workers
    from sperm_tf.serving.server.limits import Limits

    backend, observed = MadeUp(), []

    async def send(batcher, files, seconds):
        await asyncio.sleep(seconds)
        return await batcher.predict(files)

    async def main():
        with (
            concurrent.futures.ThreadPoolExecutor(2) as decoding,
            concurrent.futures.ThreadPoolExecutor(1) as inference,
        ):
            workers = Workers(decoding, inference)
            batcher = Batcher(backend, workers, Limits(**limits), lambda *what: observed.append(what))
            found = await asyncio.gather(*(send(batcher, *request) for request in requests), return_exceptions=True)
            assert batcher.waiting_images == 0
            return found

    found = asyncio.run(main())
    assert [images for images, _ in observed] == backend.batches
    return backend, found


def test_requests_get_their_own_rows_in_their_order():
    backend, found = run(([b"x"], 0), ([b"yy", b"zzz"], 0.05), ([], 0.05), ([b"vvvv"] * 5, 0.1), batch_wait_s=3)
    assert backend.batches == [8]
    assert [one["unfamiliarity"].tolist() for one in found] == [[1.0625], [2.0625, 3.0625], [], [4.0625] * 5]


def test_a_full_batch_waits_for_nothing():
    start = time.monotonic()
    backend, _ = run(([b"x"] * 8, 0), batch_wait_s=20)
    assert backend.batches == [8] and time.monotonic() - start < 10


def test_a_batch_waits_no_longer_than_it_should():
    backend, _ = run(([b"x"], 0), ([b"y"], 1.5), batch_wait_s=0.1)
    assert backend.batches == [1, 1]


def test_a_request_that_does_not_fit_waits_for_the_next_batch():
    backend, _ = run(([b"x"] * 5, 0), ([b"y"] * 5, 0.05), ([b"z"] * 3, 0.1), batch_wait_s=0.5)
    assert sum(backend.batches) == 13 and max(backend.batches) <= 8 and len(backend.batches) == 2
