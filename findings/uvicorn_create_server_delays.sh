#!/usr/bin/env bash
# uvicorn 0.54.0 (h11 0.16.0) on asyncio of CPython 3.11, an ASGI application on a socket of one's own, as for a port
# that is chosen by the system: uvicorn.Server(config).serve(sockets=[socket.create_server((host, 0))]).
# Guess: the same latency whatever made the socket; asyncio's documentation says that TCP_NODELAY is set by default on
# all TCP connections since 3.6.
# What happens: asyncio sets it only where `proto` of the socket is IPPROTO_TCP. `socket.create_server` leaves it 0, and
# accepted connections inherit 0. A response is written in two parts, header and body, so Nagle's algorithm holds the
# body back until the client's delayed acknowledgement of the header: some 40 ms for nearly each request of a connection
# that is kept open. The first ones are fast, so a smoke test sees nothing.
# Whoever hands on a socket sets TCP_NODELAY on the listening one (connections inherit it on Linux), or makes it with
# socket.socket(AF_INET, SOCK_STREAM, IPPROTO_TCP).
# Seen (Linux, loopback): create_server: TCP_NODELAY 0, median 44.0 ms; proto=IPPROTO_TCP: TCP_NODELAY 1, median 1.5 ms.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check uvicorn==0.54.0 h11==0.16.0 click==8.3.1
"$folder/venv/bin/python" - <<'PYTHON'
import asyncio
import http.client
import socket
import statistics
import threading
import time

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol


async def application(scope, receive, send):
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2000")]})
    await send({"type": "http.response.body", "body": b"x" * 2000})


def latency(listening):
    """TCP_NODELAY of the server's end of a connection, and the median seconds of a request."""
    options = []

    class Protocol(H11Protocol):
        def connection_made(self, transport):
            connection = transport.get_extra_info("socket")
            options.append(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            super().connection_made(transport)

    server = uvicorn.Server(uvicorn.Config(application, http=Protocol, loop="asyncio", log_level="error", lifespan="off"))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listening])))
    thread.start()
    while not server.started:
        time.sleep(0.01)
    client, seconds = http.client.HTTPConnection(*listening.getsockname()), []
    for _ in range(40):
        start = time.perf_counter()
        client.request("POST", "/", b"y" * 1000)
        client.getresponse().read()
        seconds.append(time.perf_counter() - start)
    client.close()
    server.should_exit = True
    thread.join()
    return options[0], statistics.median(seconds)


plain = socket.create_server(("127.0.0.1", 0))
stated = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
stated.bind(("127.0.0.1", 0))
stated.listen()
(without, slow), (with_option, fast) = latency(plain), latency(stated)
print(f"create_server: TCP_NODELAY {without}, median {1000 * slow:.1f} ms; "
      f"proto=IPPROTO_TCP: TCP_NODELAY {with_option}, median {1000 * fast:.1f} ms")
assert (without, bool(with_option)) == (0, True) and slow > 0.02 > fast
PYTHON
