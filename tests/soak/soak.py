"""Both daemons under load for SOAK_SECONDS, while policy, keys, leased endpoints and listeners change all
the time, weir-control and etcd are killed, stopped and started again, and clients stall, 10,000 at once
among them (threats S39). At the end: no request failed, memory and descriptors of both daemons lie flat,
their logs hold no finding of a sanitizer, and both end by SIGTERM with status 0.

In the first half of the time anything is killed. In the second weir-control is only stopped (SIGSTOP), so
that there is one process to measure."""

import os
import pathlib
import random
import re
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests/e2e"))

from ads_client import Stream  # noqa: E402
from processes import Stack, free_port, http_get, wait_until  # noqa: E402
from raw_http import fetch  # noqa: E402

SECONDS = int(os.environ.get("SOAK_SECONDS", "600"))
IS_ASAN = "asan" in os.environ.get("WEIR_BIN", "")
STALLED = 10000
CHANGES_PER_SECOND = 20
# What the second half may add: allocators and buffers still settle, and a leak of one request or one
# change in a thousand would be far more.
GROWTH_KIB = 32768 if IS_ASAN else 6144
GROWTH_FDS = 40


class Soak:
    def __init__(self, stack):
        self.stack, self.failures, self.is_over = stack, [], threading.Event()
        self.random = random.Random(20240601)
        self.port, self.extra_ports = free_port(), [free_port() for _ in range(4)]
        self.backends = [stack.backend(name) for name in ("a", "b")]
        self.etcd = stack.etcd(extra=["--auto-compaction-mode", "revision",
                                      "--auto-compaction-retention", "1000"])
        self.etcd.put_all({
            "gateways/public": self.gateway(), "policies/keys": {"api_key": {}},
            "limits/wide": {"key": ["consumer"], "requests": 1000000000, "per": "1s"},
            "consumers/steady": {"api_keys": [{"key": "steady"}]},
            "services/a": self.service(0), "services/leased": self.service(1),
            # Who stalls in a body holds a request of its service: a service of their own, whose
            # threshold they may reach.
            "services/stalled": self.service(1),
            "routes/stalled": self.route("/stalled", "stalled"),
            "routes/all": self.route("/", "a"),
            "routes/leased": self.route("/leased", "leased"),
            "routes/guarded": self.route("/guarded", "a", policies=["keys"], limits=["wide"])})
        self.control = stack.control(self.etcd)
        self.proxy = stack.proxy(self.control, "public")
        wait_until(lambda: fetch(self.port, "/").status == 200, "the first answer")
        self.half, self.samples = None, []

    # --- policy ---

    def gateway(self, extra=(), **fields):
        ports = [self.port, *extra]
        return {"request_headers_timeout": "10s", "request_timeout": "10s", "listeners": [
            {"name": f"l{port}", "address": "127.0.0.1", "port": port} for port in ports], **fields}

    def service(self, index, **fields):
        return {"endpoints": [{"address": f"127.0.0.1:{self.backends[index].port}"}], **fields}

    @staticmethod
    def route(prefix, service, **fields):
        return {"gateways": ["public"], "match": {"path": {"prefix": prefix}},
                "backends": [{"service": service}], **fields}

    def change(self, number):
        """One change of some kind. etcd may be away: then it is made later, or never."""
        kind = number % 8
        some = self.random.randrange(50)
        if kind == 0:
            self.etcd.put(f"routes/extra-{some}", self.route(f"/extra/{number}", "a"))
        elif kind == 1:
            self.etcd.delete(f"routes/extra-{some}")
        elif kind == 2:
            self.etcd.put("services/a", self.service(0, connect_timeout=f"{5 + some}s"))
        elif kind == 3:
            lease = self.etcd.call("lease/grant", {"TTL": 5})["ID"]
            self.etcd.call("kv/put", {
                "key": self.etcd._b64(f"/weir/v1/endpoints/leased/i-{some}"), "lease": lease,
                "value": self.etcd._b64(f'{{"address":"127.0.0.1:{self.backends[0].port}"}}')})
        elif kind == 4:
            extra = self.random.sample(self.extra_ports, self.random.randrange(3))
            self.etcd.put("gateways/public", self.gateway(extra, max_headers_count=100 + some))
        elif kind == 5:
            self.etcd.put("routes/bad", {"gateways": ["public"], "match": {"path": {"prefix": "no-slash"}}})
        elif kind == 6:
            self.etcd.put("routes/guarded", self.route("/guarded", "a", policies=["keys"], limits=["wide"],
                                                       timeout=f"{20 + some}s"))
        else:
            self.etcd.put(f"consumers/c-{some}", {"api_keys": [{"key": f"key-{some}-{number}"}]})

    def changes(self):
        number = 0
        while not self.is_over.wait(1 / CHANGES_PER_SECOND):
            number += 1
            try:
                self.change(number)
            except OSError:
                self.is_over.wait(0.2)
        print(f"{number} changes")

    def revocations(self):
        """A key given and taken: it works, then it does not, and never again."""
        number = 0
        while not self.is_over.wait(1):
            number += 1
            key = [("x-api-key", f"passing-{number}")]
            code = lambda: fetch(self.port, "/guarded", headers=key).status
            self.insist(lambda: self.etcd.put("consumers/passing", {"api_keys": [{"key": key[0][1]}]}))
            wait_until(lambda: code() == 200, "a new key to work", 120)
            self.insist(lambda: self.etcd.delete("consumers/passing"))
            wait_until(lambda: code() == 401, "a revoked key to be refused", 120)
        print(f"{number} keys given and revoked")

    def insist(self, write):
        def is_done():
            write()
            return True
        wait_until(is_done, "etcd to take a write", 120)

    # --- bad days ---

    def bad_days(self, end):
        """On the main thread: a child process dies with the thread that started it."""
        while time.monotonic() < end and not self.is_over.wait(min(5, end - time.monotonic())):
            may_kill = time.monotonic() < self.half
            what = self.random.choice(["control", "etcd", "stop control", "stop etcd"])
            if what == "control" and may_kill:
                self.control.kill()
                self.is_over.wait(2)
                self.control.start()
            elif what == "etcd" and may_kill:
                self.etcd.kill()
                self.is_over.wait(2)
                self.etcd.start()
            else:
                process = self.etcd if "etcd" in what else self.control
                process.signal(signal.SIGSTOP)
                self.is_over.wait(3)
                process.signal(signal.SIGCONT)
            wait_until(lambda: http_get(self.control.admin_port, "/ready")[0] == 200, "ready again", 120)

    def stall(self, count):
        """Clients that stop in the head, in the body, and while reading; to the gateway and to xDS."""
        kinds = [b"GET / HTTP/1.1\r\nHost:", b"POST /stalled HTTP/1.1\r\nHost: e\r\nContent-Length: 100\r\n\r\nx",
                 b"GET /stalled?body=2000000 HTTP/1.1\r\nHost: e\r\n\r\n"]
        clients = []
        try:
            for i in range(count):
                client = socket.socket()
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                client.connect(("127.0.0.1", self.port))
                # Those that do not read are few: nothing ends them as long as their socket takes a little.
                client.sendall(kinds[2 if i % 100 == 0 else i % 2])
                clients.append(client)
            for _ in range(20):
                clients.append(socket.create_connection(("127.0.0.1", self.control.port)))
            for _ in range(50):
                if fetch(self.port, "/").status != 200:
                    raise AssertionError("a good client was refused because others stalled")
            # The daemon ends those that send no more; it closed them when they read as ended.
            if count == STALLED:
                half_sent = [c for i, c in enumerate(clients[:count]) if i % 100]
                wait_until(lambda: all(_is_ended(c) for c in half_sent), "stalled clients to be ended")
        finally:
            for client in clients:
                client.close()

    def stalls(self):
        self.stall(STALLED)
        print(f"{STALLED} stalled clients were ended")
        while not self.is_over.wait(10):
            try:
                self.stall(200)
            except ConnectionError:
                pass  # weir-control is being killed

    def sleeper(self):
        """Takes configuration and never answers, time and again."""
        while not self.is_over.is_set():
            stream = Stream(self.control.port, "public", node_id="sleeper")
            stream.send("CDS")
            self.is_over.wait(10)
            stream.close()

    # --- the verdict ---

    def guard(self, run):
        def guarded():
            try:
                run()
            except BaseException as error:
                self.failures.append(f"{run.__name__}: {error!r}")
                self.is_over.set()
        thread = threading.Thread(target=guarded, name=run.__name__)
        thread.start()
        return thread

    def measure(self):
        """Memory and descriptors in the second half, after a twentieth for all to settle."""
        while not self.is_over.wait(1):
            if time.monotonic() > self.half + SECONDS / 20:
                self.samples.append([(p.name, p.rss_kib(), len(os.listdir(f"/proc/{p.pid}/fd")))
                                     for p in (self.proxy, self.control)])

    def run(self):
        loads = [self.load("/", 32), self.load("/leased", 16), self.load("/guarded", 16, "steady")]
        self.half = time.monotonic() + SECONDS / 2
        threads = [self.guard(run) for run in (self.changes, self.revocations, self.stalls, self.sleeper,
                                               self.measure)]
        try:
            self.bad_days(self.half + SECONDS / 2)
        finally:
            self.is_over.set()
        for thread in threads:
            thread.join()
        for load in loads:
            self.judge_load(load)
        self.judge_samples()
        for process in (self.proxy, self.control):
            status = process.stop()
            log = process.log()
            if status != 0:
                self.failures.append(f"{process.name} ended with status {status}: {log[-2000:]}")
            if re.search("Sanitizer|runtime error", log):
                self.failures.append(f"{process.name}: a finding in its log:\n{log[-5000:]}")

    def load(self, path, connections, key="none"):
        return subprocess.Popen(
            ["wrk", "-t1", f"-c{connections}", f"-d{SECONDS + 3600}s", "--timeout", "60s", "-H",
             f"x-api-key: {key}", f"http://127.0.0.1:{self.port}{path}"],
            stdout=subprocess.PIPE, text=True)

    def judge_load(self, load):
        load.send_signal(signal.SIGINT)  # it prints what it has
        out = load.communicate(timeout=60)[0]
        print(re.search(r"\d+ requests in.*", out).group(0), "from", out.splitlines()[0].split()[-1])
        if "Non-2xx" in out or "Socket errors" in out:
            self.failures.append(f"requests failed:\n{out}")

    def judge_samples(self):
        samples = self.samples
        quarter = len(samples) // 4
        if quarter < 2:
            self.failures.append(f"only {len(samples)} samples of memory: SOAK_SECONDS is too short")
            return
        for index in range(2):
            for what, at, allowed in (("KiB", 1, GROWTH_KIB), ("descriptors", 2, GROWTH_FDS)):
                series = quarters(samples, index, at, quarter)
                print(f"{samples[0][index][0]}: {series[0]} {what} in the first, {series[1]} in the last "
                      "quarter of the second half")
                if series[1] - series[0] > allowed:
                    self.failures.append(f"{samples[0][index][0]} grew from {series[0]} to {series[1]} {what}")


def quarters(samples, index, at, quarter):
    """The medians of the first and of the last quarter: stalled clients come and go."""
    middle = lambda part: sorted(sample[index][at] for sample in part)[len(part) // 2]
    return middle(samples[:quarter]), middle(samples[-quarter:])


def _is_ended(client):
    client.setblocking(False)
    try:
        while client.recv(65536):
            pass
        return True
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


def main():
    wanted = STALLED + 2000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        sys.exit(f"soak: needs {wanted} open files, may have {hard} (ulimit -n)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    os.environ.setdefault("ASAN_OPTIONS", "quarantine_size_mb=8")
    with tempfile.TemporaryDirectory(prefix="weir-soak-") as folder, Stack(folder) as stack:
        soak = Soak(stack)
        try:
            soak.run()
        finally:
            soak.is_over.set()
        if soak.failures:
            raise SystemExit("soak: FAILED\n" + "\n".join(soak.failures))
    print(f"soak: {SECONDS} s, no finding")


main()
