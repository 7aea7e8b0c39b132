#!/usr/bin/env python3
"""Clients that hold connections and hardly say a word: scripts/slow-clients.py URL [IDLE DRIBBLING]

IDLE connections say nothing at all. Of the DRIBBLING a third sends its head a byte at a time, a
third its body, a third asks for large answers and takes a byte at a time. Who is cut off comes
back. Prints once a second how many are connected, and in the end how often they were cut off.
"""

import asyncio
import resource
import socket
import sys
from urllib.parse import urlsplit

PAUSE = 0.5
HEAD = b"GET /v1/products HTTP/1.1\r\nHost: shop.example\r\nX-Note: "
BODY = (
    b"POST /v1/orders HTTP/1.1\r\nHost: shop.example\r\nIdempotency-Key: slow\r\n"
    b"Content-Type: application/json\r\nContent-Length: 60000\r\n\r\n"
)
ANSWER = b"GET /openapi.json HTTP/1.1\r\nHost: shop.example\r\n\r\n" * 16

connected, cut = 0, 0


async def idle(stream, loop):
    await loop.sock_recv(stream, 1)


async def dribble(stream, loop, start):
    await loop.sock_sendall(stream, start)
    while True:
        await loop.sock_sendall(stream, b"a")
        await asyncio.sleep(PAUSE)


async def sip(stream, loop):
    await loop.sock_sendall(stream, ANSWER)
    while await loop.sock_recv(stream, 1):
        await asyncio.sleep(PAUSE)


async def hold(address, client, *arguments):
    global connected, cut
    loop = asyncio.get_running_loop()
    while True:
        stream = socket.socket()
        stream.setblocking(False)
        if client is sip:
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        try:
            await loop.sock_connect(stream, address)
            connected += 1
            try:
                await client(stream, loop, *arguments)
            finally:
                connected -= 1
        except OSError:
            await asyncio.sleep(0.1)
        finally:
            stream.close()
        cut += 1


async def main(url, count, dribbling):
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard < count + dribbling + 100:
        sys.exit(f"slow-clients: only {hard} files may be open: ulimit -n")
    parts = urlsplit(url)
    address = (parts.hostname, parts.port)
    clients = [(idle,)] * count
    clients += [((dribble, HEAD), (dribble, BODY), (sip,))[n % 3] for n in range(dribbling)]
    tasks = []
    for at, client in enumerate(clients):
        tasks.append(asyncio.create_task(hold(address, *client)))
        if at % 100 == 0:
            await asyncio.sleep(0.02)
    while True:
        await asyncio.sleep(1)
        print(f"{connected} connected, cut off {cut} times", flush=True)


if __name__ == "__main__":
    if len(sys.argv) not in (2, 4):
        sys.exit(__doc__)
    url, *counts = sys.argv[1:]
    count, dribbling = map(int, counts or (5000, 500))
    try:
        asyncio.run(main(url, count, dribbling))
    except KeyboardInterrupt:
        pass
