"""Logs customers in, so many at a time, until it is stopped: login-storm.py URL CLIENTS.

Says in the end how many logins were answered, by status, and how long the good ones took.
"""
import http.client
import json
import signal
import sys
import threading
import time
import urllib.parse

ACCOUNTS = 20
PASSWORD = "difference engine"

if len(sys.argv) != 3:
    sys.exit(__doc__)
server = urllib.parse.urlparse(sys.argv[1])
clients = int(sys.argv[2])
over = threading.Event()
lock = threading.Lock()
statuses, took = {}, []


def post(connection, path, body):
    connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
    response = connection.getresponse()
    response.read()
    return response.status


def connect():
    return http.client.HTTPConnection(server.hostname, server.port, timeout=60)


def client(number):
    connection = connect()
    who = {"email": f"storm-{number % ACCOUNTS}@example.com", "password": PASSWORD}
    while not over.is_set():
        began = time.monotonic()
        try:
            status = post(connection, "/v1/session/login", who)
        except OSError:
            status, connection = "lost", connect()
        with lock:
            statuses[status] = statuses.get(status, 0) + 1
            if status == 200:
                took.append(time.monotonic() - began)
        if status != 200:
            # What Retry-After asks for.
            over.wait(1)


for account in range(ACCOUNTS):
    email = f"storm-{account}@example.com"
    post(connect(), "/v1/customers", {"email": email, "password": PASSWORD})
signal.signal(signal.SIGTERM, lambda *_: over.set())
threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
began = time.monotonic()
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
seconds = time.monotonic() - began
took.sort()
p50 = took[len(took) // 2] if took else 0
print(f"logins in {seconds:.0f} s by status: {statuses}; {len(took) / seconds:.0f}/s, p50 {p50:.2f} s")
