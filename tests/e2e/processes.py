"""The real parts under test, as child processes: etcd, weir-control, weir-proxy, stock Envoy, back
ends. Each binds to loopback on a port of its own, logs into the test's folder, and dies with the
test: by stop(), at the latest by the kernel, with the thread that started it (PR_SET_PDEATHSIG)."""

import base64
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

TOP = pathlib.Path(__file__).resolve().parents[2]
BIN = TOP / os.environ.get("WEIR_BIN", "build/release/bin")
# For what happens at once on a machine that has nothing else to do: a limit only for what never does.
WAIT_SECONDS = 90
_reservations = []
# Never through a proxy that the environment names: everything here is on loopback.
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def free_port():
    """A port nobody listens on. Until this process ends the kernel gives it to nobody who asks for
    any port, outgoing connections included; who binds to it by number, with SO_REUSEADDR as servers
    do, gets it, also again after a restart. So tests that run side by side never meet."""
    reservation = socket.socket()
    reservation.bind(("127.0.0.1", 0))
    # Only now: the port itself must be one that nobody has.
    reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    _reservations.append(reservation)
    return reservation.getsockname()[1]


def wait_until(condition, what, seconds=WAIT_SECONDS, every=0.02):
    """Returns the first true value of condition(); fails with what after so many seconds. That nobody
    answers, or not to the end, is one more way of not being true yet."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            value = last = condition()
        except (OSError, EOFError) as error:
            value, last = None, error
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds} s in vain for: {what} (last: {last!r})")
        time.sleep(every)


def http_get(port, path, method="GET", timeout=30):
    """(status, text) of a request to an admin port; (0, reason) where nobody answers."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method)
    try:
        with _direct.open(request, timeout=timeout) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError as error:
        return 0, str(error)


class Process:
    """One child process; start() may be called again after stop() or kill()."""

    def __init__(self, name, folder, argv):
        self.name, self.argv = name, [str(a) for a in argv]
        self.folder = pathlib.Path(folder)
        self.log_path = self.folder / f"{name}.log"
        self.child = None

    def start(self):
        if not shutil.which(self.argv[0]):
            raise AssertionError(f"{self.argv[0]} is missing: it is part of what is tested")
        with open(self.log_path, "ab") as log:
            # Not by a function of ours between fork and exec: that would be a fork of a process that
            # may have threads of gRPC, which crash in it.
            self.child = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *self.argv], stdout=log,
                                          stderr=log, stdin=subprocess.DEVNULL, cwd=self.folder)
        return self

    def wait_for(self, port, path):
        """Until this path of a port of its own is answered 200; fails as soon as it has ended."""
        def is_up():
            assert self.is_running(), f"{self.name} ended at once: {self.log()[-2000:]}"
            return http_get(port, path)[0] == 200
        wait_until(is_up, f"{self.name} to answer {path}: {self.log_path}")

    @property
    def pid(self):
        return self.child.pid

    def is_running(self):
        return self.child is not None and self.child.poll() is None

    def signal(self, number):
        self.child.send_signal(number)

    def kill(self):
        """At once, as a crash would."""
        if self.is_running():
            self.child.kill()
            self.child.wait()

    def stop(self, seconds=WAIT_SECONDS):
        """Asks, waits, and insists; returns the exit status."""
        if self.child is None:
            return None
        if self.is_running():
            self.child.send_signal(signal.SIGCONT)
            self.child.terminate()
            try:
                self.child.wait(seconds)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()
                raise AssertionError(f"{self.name} did not end within {seconds} s of SIGTERM")
        return self.child.returncode

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def rss_kib(self):
        for line in pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
        raise AssertionError("no VmRSS")


class Etcd(Process):
    """A single member with its data in the test's folder; talked to through its JSON gateway."""

    def __init__(self, folder, name="etcd", extra=()):
        self.port, peer = free_port(), free_port()
        client_url, peer_url = f"http://127.0.0.1:{self.port}", f"http://127.0.0.1:{peer}"
        super().__init__(name, folder, [
            "etcd", "--name", "test", "--data-dir", pathlib.Path(folder) / f"{name}.data",
            "--listen-client-urls", client_url, "--advertise-client-urls", client_url,
            "--listen-peer-urls", peer_url, "--initial-advertise-peer-urls", peer_url,
            "--initial-cluster", f"test={peer_url}", "--log-level", "error",
            "--max-request-bytes", str(16 << 20), *extra])

    def start(self):
        super().start()
        self.wait_for(self.port, "/health")
        return self

    def call(self, method, body, timeout=60):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/v3/{method}",
                                         json.dumps(body).encode(), method="POST")
        with _direct.open(request, timeout=timeout) as answer:
            return json.load(answer)

    @staticmethod
    def _b64(text):
        return base64.b64encode(text if isinstance(text, bytes) else text.encode()).decode()

    def put(self, key, value, prefix="/weir/v1/"):
        """Puts a value (a dict becomes JSON) at <prefix><key> and returns the revision."""
        text = value if isinstance(value, (str, bytes)) else json.dumps(value)
        answer = self.call("kv/put", {"key": self._b64(prefix + key), "value": self._b64(text)})
        return int(answer["header"]["revision"])

    def put_all(self, objects):
        """Puts many objects {key: value}, 100 a transaction."""
        items = list(objects.items())
        for start in range(0, len(items), 100):
            self.call("kv/txn", {"success": [
                {"request_put": {"key": self._b64(f"/weir/v1/{key}"),
                                 "value": self._b64(json.dumps(value))}}
                for key, value in items[start:start + 100]]})

    def delete(self, key):
        self.call("kv/deleterange", {"key": self._b64(f"/weir/v1/{key}")})

    def status_of(self, key):
        """The document at /weir/status/v1/<key>, decoded, or None."""
        answer = self.call("kv/range", {"key": self._b64(f"/weir/status/v1/{key}")})
        values = [kv["value"] for kv in answer.get("kvs", [])]
        return json.loads(base64.b64decode(values[0])) if values else None


class Control(Process):
    def __init__(self, folder, source, name="weir-control", extra=()):
        """source: an Etcd, or a folder of policy files."""
        self.port, self.admin_port = free_port(), free_port()
        where = (["--etcd-endpoints", f"127.0.0.1:{source.port}",
                  "--last-good-path", pathlib.Path(folder) / f"{name}.last-good"]
                 if isinstance(source, Etcd) else ["--source", "dir", "--directory", source])
        super().__init__(name, folder, [
            BIN / "weir-control", *where, "--xds-address", f"127.0.0.1:{self.port}",
            "--admin-address", f"127.0.0.1:{self.admin_port}", *extra])

    def start(self, wait=True):
        super().start()
        if wait:
            self.wait_for(self.admin_port, "/ready")
        return self

    def config_dump(self):
        status, text = http_get(self.admin_port, "/config_dump")
        assert status == 200, text
        return json.loads(text)


class Proxy(Process):
    def __init__(self, folder, control_port, gateway, name="weir-proxy", concurrency=2, extra=()):
        self.admin_port = free_port()
        super().__init__(name, folder, [
            BIN / "weir-proxy", "--control", f"127.0.0.1:{control_port}", "--gateway", gateway,
            "--service-node", name, "--admin-address", f"127.0.0.1:{self.admin_port}",
            "--concurrency", str(concurrency),
            "--last-good-path", pathlib.Path(folder) / f"{name}.last-good", *extra])

    def start(self, wait=True):
        super().start()
        if wait:
            self.wait_for(self.admin_port, "/ready")
        return self

    def stats(self):
        """Envoy's /stats as {name: int}; histograms left out."""
        stats = {}
        for line in http_get(self.admin_port, "/stats")[1].splitlines():
            name, _, value = line.partition(": ")
            if value.isdigit():
                stats[name] = int(value)
        return stats


def envoy_binary():
    binary = next((TOP / "build/venv").glob("lib/*/site-packages/envoy/_bin/envoy"), None)
    assert binary, "stock Envoy is missing from build/venv: run tests/e2e/run"
    return binary


class Envoy(Process):
    """Stock Envoy from PyPI, fed by weir-control."""

    def __init__(self, folder, control_port, gateway, name="envoy", concurrency=2, delta=True):
        self.admin_port = free_port()
        bootstrap = {
            "node": {"id": name, "cluster": gateway},
            "admin": {"address": _socket_address(self.admin_port)},
            "dynamic_resources": {
                "ads_config": {
                    "api_type": "DELTA_GRPC" if delta else "GRPC", "transport_api_version": "V3",
                    "grpc_services": [{"envoy_grpc": {"cluster_name": "xds"}}]},
                "lds_config": {"ads": {}, "resource_api_version": "V3"},
                "cds_config": {"ads": {}, "resource_api_version": "V3"}},
            "static_resources": {"clusters": [{
                "name": "xds", "type": "STATIC", "connect_timeout": "1s",
                "typed_extension_protocol_options": {
                    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                        "explicit_http_config": {"http2_protocol_options": {}}}},
                "load_assignment": {"cluster_name": "xds", "endpoints": [{"lb_endpoints": [
                    {"endpoint": {"address": _socket_address(control_port)}}]}]}}]},
        }
        path = pathlib.Path(folder) / f"{name}.json"
        path.write_text(json.dumps(bootstrap))
        super().__init__(name, folder, [
            envoy_binary(), "-c", path, "--concurrency", str(concurrency), "-l", "warning",
            "--use-dynamic-base-id", "--disable-hot-restart"])

    def start(self, wait=True):
        super().start()
        if wait:
            self.wait_for(self.admin_port, "/ready")
        return self


class Backend(Process):
    """The demo back end: answers with what it received."""

    def __init__(self, folder, name):
        self.port = free_port()
        super().__init__(f"backend-{name}", folder, [BIN / "demo-backend", name, self.port])

    def start(self):
        super().start()
        self.wait_for(self.port, "/_count")
        return self

    def count(self):
        """How many requests have reached it."""
        return int(http_get(self.port, "/_count")[1])


def _socket_address(port):
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


class Stack:
    """What one test module runs; a context manager that stops everything, in reverse order."""

    running = []

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.processes = []

    def add(self, process):
        self.processes.append(process)
        return process

    def __enter__(self):
        self.running.append(self)
        return self

    def __exit__(self, *failure):
        self.running.remove(self)
        for process in reversed(self.processes):
            process.kill()
        if failure[0]:
            for process in self.processes:
                sys.stderr.write(f"--- end of {process.log_path}\n{process.log()[-3000:]}\n")

    def etcd(self, **options):
        return self.add(Etcd(self.folder, **options)).start()

    def backend(self, name):
        return self.add(Backend(self.folder, name)).start()

    def control(self, source, wait=True, **options):
        return self.add(Control(self.folder, source, **options)).start(wait)

    def proxy(self, control, gateway, wait=True, **options):
        return self.add(Proxy(self.folder, control.port, gateway, **options)).start(wait)

    def envoy(self, control, gateway, wait=True, **options):
        return self.add(Envoy(self.folder, control.port, gateway, **options)).start(wait)
