"""The model server under load: 1, 8 and 64 clients, each of which sends its next request when it has its response.

    python -m benchmarks.server_load --model=<serving folder> --images=<folder of crops>

Prints, for each number of clients: crops a second, the share of the runtime's own rate in this process, latencies,
codes that are not 200, and the server's memory. The server is a process of its own, on loopback. Without `--images`
patterns are drawn. `--url` with `--model_name` loads a server that is running already, TensorFlow Serving as well.
"""

import argparse
import asyncio
import base64
import collections
import contextlib
import itertools
import json
import pathlib
import subprocess
import sys
import time

import aiohttp
import numpy as np
import psutil

CLIENTS = (1, 8, 64)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="as for sperm_tf.serving.serve; a folder <serving_base>/<model>")
    parser.add_argument("--images", type=pathlib.Path)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--files", type=int, default=1, help="in a request")
    parser.add_argument("--runtime", default="fastest")
    parser.add_argument("--url", default="", help="of a server that is running")
    parser.add_argument("--model_name", default="")
    options = parser.parse_args()
    images = read_images(options.images)
    alone = 0.0 if options.url else rate_alone(options.model, options.runtime, images, options.seconds)
    print(f"the runtime alone, batches of 8: {alone:.1f} crops/s" if alone else "the runtime alone: not measured")
    bodies = [body_of(images, start, options.files) for start in range(32)]
    with serving(options) as (process, url, name):
        for clients in CLIENTS:
            result = asyncio.run(load(f"{url}/v1/models/{name}:predict", bodies, clients, options.seconds))
            print(describe(clients, result, options.files, alone, process), flush=True)


def read_images(folder):
    if folder is not None:
        files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".png", ".bmp", ".jpg"))[:256]
        return [path.read_bytes() for path in files]
    from sperm_tf.data.decode import encode_png

    rng = np.random.default_rng(0)
    patterns = (np.kron(rng.integers(60, 220, (16, 16, 3)), np.ones((8, 8, 1))) for _ in range(64))
    return [encode_png(pattern.astype(np.uint8)) for pattern in patterns]


def rate_alone(model, runtime, images, seconds):
    """Crops a second of what the server calls, in this process, in batches of eight."""
    from sperm_tf.serving.server.sources import find_source

    source = find_source(model, runtime=runtime, warm_up=8, labels=None)
    (listed,) = source.list().values()
    backend = listed.versions[max(listed.versions)]().backend
    batches = [[images[(start + row) % len(images)] for row in range(8)] for start in range(0, 256, 8)]
    start, count = time.perf_counter(), 0
    cycle = itertools.cycle(batches)
    while time.perf_counter() - start < seconds:
        batch = next(cycle)
        backend.predict([backend.prepare(batch)])
        count += len(batch)
    return count / (time.perf_counter() - start)


def body_of(images, start, files):
    chosen = [images[(start * files + row) % len(images)] for row in range(files)]
    return json.dumps({"instances": [{"b64": base64.b64encode(image).decode()} for image in chosen]}).encode()


@contextlib.contextmanager
def serving(options):
    """The server's process, its address, and the name of its model."""
    if options.url:
        yield None, options.url.rstrip("/"), options.model_name
        return
    command = [sys.executable, "-m", "sperm_tf.serving.serve", f"--model={options.model}", "--port=0"]
    process = subprocess.Popen([*command, f"--runtime={options.runtime}"], stdout=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline()
        yield psutil.Process(process.pid), line.split(" at ")[1].strip(), line.split(" version ")[0]
    finally:
        process.terminate()
        process.wait()


async def load(url, bodies, clients, seconds):
    """Seconds of each request, and how often each code came, in `seconds`."""
    times, codes = [], collections.Counter()
    end = time.perf_counter() + seconds
    connector = aiohttp.TCPConnector(limit=clients)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=120)) as session:

        async def run(number):
            for body in itertools.cycle(bodies[number % len(bodies) :] + bodies[: number % len(bodies)]):
                if time.perf_counter() > end:
                    return
                start = time.perf_counter()
                try:
                    async with session.post(url, data=body) as response:
                        reply = await response.json(content_type=None)
                        is_whole = response.status != 200 or all(one["status"] == "ok" for one in reply["predictions"])
                        codes[response.status if is_whole else "not ok"] += 1
                except (aiohttp.ClientError, TimeoutError, ValueError) as error:
                    codes[type(error).__name__] += 1
                times.append(time.perf_counter() - start)

        began = time.perf_counter()
        await asyncio.gather(*(run(number) for number in range(clients)))
        return times, codes, time.perf_counter() - began


def describe(clients, result, files, alone, process):
    times, codes, seconds = result
    rate = codes[200] * files / seconds
    quantiles = " ".join(f"p{q} {1000 * np.percentile(times, q):.0f} ms" for q in (50, 95, 99))
    share = f" ({rate / alone:.2f} of the runtime alone)" if alone else ""
    memory = f", {process.memory_info().rss / 2**20:.0f} MiB" if process else ""
    errors = {code: number for code, number in codes.items() if code != 200}
    return f"{clients:3d} clients: {rate:.1f} crops/s{share}, {quantiles}{memory}, errors: {errors or 'none'}"


if __name__ == "__main__":
    main()
