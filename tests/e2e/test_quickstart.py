"""`make run` as a newcomer types it, with ports of its own: what it prints works as printed."""

import os
import re
import signal
import subprocess
import time

import pytest

from processes import TOP, free_port, http_get, wait_until

NAMES = ("GATEWAY_PORT", "PROXY_ADMIN_PORT", "XDS_PORT", "CONTROL_ADMIN_PORT", "ETCD_PORT",
         "BACKEND1_PORT", "BACKEND2_PORT")


class QuickStart:
    def __init__(self, folder, source):
        self.ports = {name: str(free_port()) for name in NAMES}
        self.output = folder / "make-run.out"
        self.began = time.monotonic()
        with open(self.output, "wb") as out:
            self.child = subprocess.Popen(
                ["deploy/run"], cwd=TOP, stdout=out, stderr=out, start_new_session=True,
                env={**os.environ, **self.ports, "SOURCE": source, "WEIR_DATA": str(folder / "data")})

    def text(self):
        return self.output.read_text()

    def wait(self):
        wait_until(lambda: "Ctrl-C stops everything" in self.text() or self.child.poll() is not None,
                   "the quick start", 30)
        assert self.child.poll() is None, self.text()
        self.seconds = time.monotonic() - self.began

    def stop(self):
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGINT)
        self.child.wait(20)


@pytest.mark.parametrize("source", ["etcd", "dir"])
def test_what_it_prints_works_as_printed_twice_in_a_row(tmp_path, source):
    for _ in range(2):
        quick_start = QuickStart(tmp_path, source)
        try:
            quick_start.wait()
            lines = [line.strip() for line in quick_start.text().splitlines()
                     if re.match(r"  (curl|etcdctl|export|for|printf) ", line)]
            assert len(lines) >= 8
            # one shell, so that the export holds; a moment after each change
            script = "set -e\ncd " + str(TOP) + "\n" + "\n".join(
                f"echo '>>> {index}'\n{re.sub('#.*', '', line)}\nsleep 0.3"
                for index, line in enumerate(lines))
            result = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60)
            assert result.returncode == 0, result.stdout + result.stderr
            answers = result.stdout.split(">>> ")[1:]
            by_line = dict(zip(lines, answers))
            assert "200 OK" in next(a for l, a in by_line.items() if "/orders" in l)
            assert "401 Unauthorized" in next(
                a for l, a in by_line.items() if l.endswith("a key") and "s3cret" not in l)
            assert "200 OK" in next(a for l, a in by_line.items() if "s3cret" in l and "curl -i" in l)
            assert "hello" in next(a for l, a in by_line.items() if l.endswith("/hello") and "curl" in l)
            if source == "etcd":
                codes = next(a for l, a in by_line.items() if l.startswith("for ")).split()
                assert codes.count("429") >= 1, codes
                assert "match.path.prefix" in next(a for l, a in by_line.items() if "get /weir/status" in l)
        finally:
            quick_start.stop()
        assert quick_start.child.returncode == 0, quick_start.text()
        for name, port in quick_start.ports.items():
            assert http_get(port, "/")[0] == 0, f"{name} is still open after Ctrl-C"


def test_a_taken_port_is_named_before_anything_starts(tmp_path):
    import socket
    with socket.create_server(("127.0.0.1", 0)) as other:
        ports = {name: str(free_port()) for name in NAMES}
        ports["XDS_PORT"] = str(other.getsockname()[1])
        result = subprocess.run(["deploy/run"], cwd=TOP, capture_output=True, text=True, timeout=20,
                                env={**os.environ, **ports, "WEIR_DATA": str(tmp_path)})
    assert result.returncode != 0
    assert "XDS_PORT" in result.stderr and ports["XDS_PORT"] in result.stderr
    assert not list(tmp_path.glob("log/*"))
