"""`make run` as a newcomer types it, with ports of its own: what it prints works as printed."""

import os
import re
import signal
import socket
import subprocess
import time

import pytest

from processes import TOP, free_port, http_get, wait_until

NAMES = ("GATEWAY_PORT", "PROXY_ADMIN_PORT", "XDS_PORT", "CONTROL_ADMIN_PORT", "ETCD_PORT",
         "BACKEND1_PORT", "BACKEND2_PORT")


class QuickStart:
    def __init__(self, folder, source, ports=None, data="data"):
        self.ports = ports or {name: str(free_port()) for name in NAMES}
        self.output = folder / "make-run.out"
        with open(self.output, "wb") as out:
            self.child = subprocess.Popen(
                [TOP / "deploy/run"], cwd=folder, stdout=out, stderr=out, start_new_session=True,
                env={**os.environ, "ETCDCTL_ENDPOINTS": "127.0.0.1:9", "ETCD_DATA_DIR": "/nowhere",
                     "http_proxy": "http://127.0.0.1:9", **self.ports, "SOURCE": source,
                     "WEIR_DATA": str(folder / data)})

    def text(self):
        return self.output.read_text()

    def wait(self):
        wait_until(lambda: "Ctrl-C stops everything" in self.text() or self.child.poll() is not None,
                   "the quick start")
        assert self.child.poll() is None, self.text()

    def stop(self):
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGINT)
        self.child.wait(60)


# What a line of the text promises: (a piece of the line, a pattern of what it prints). Lines that are
# not here change something, and are only to succeed.
PROMISES = [
    ("for i in 1 2 3 4", r"429"),
    ("/orders", r"^HTTP/1.1 200 OK"),
    ("x-api-key: s3cret' http", r"^HTTP/1.1 200 OK(.|\n)*x-weir-consumer"),
    ("needs a key", r"^HTTP/1.1 401 Unauthorized"),
    ("/weir/status/v1/routes/broken", r"match\.path\.prefix"),
    ("status/routes/broken.json", r"match\.path\.prefix"),
    ("curl -i http://127.0.0.1:{GATEWAY_PORT}/hello", r"^HTTP/1.1 200 OK(.|\n)*\nhello$"),
    ("/clusters", r"^users::127.0.0.1:\d+::"),
    ("/stats/prometheus", r"^envoy_\w+\{"),
    ("/config_dump", r"^\{"),
]
CHANGES = ("export ", "printf ", "rm ", "etcdctl put", "etcdctl del")


def run_as_printed(lines, ports):
    """Runs the lines in order; what one prints may become true a moment later (policy is live when the
    proxy has it), so a line that promises something is repeated until it keeps its promise."""
    exports = ""
    for line in lines:
        promise = next((pattern for piece, pattern in PROMISES if piece.format(**ports) in line), None)
        assert promise or line.startswith(CHANGES), f"nobody knows what to expect of: {line}"

        def done():
            result = subprocess.run(["bash", "-c", exports + line], capture_output=True, text=True,
                                    cwd=TOP, timeout=60)
            if promise and result.returncode:
                return False
            assert result.returncode == 0, f"{line}\n{result.stdout}{result.stderr}"
            return not promise or re.search(promise, result.stdout.replace("\r", "").strip(), re.M)
        wait_until(done, f"{line} to print {promise}")
        if line.startswith("export "):
            exports += line + "\n"


@pytest.mark.parametrize("source", ["etcd", "dir"])
def test_what_it_prints_works_as_printed_twice_in_a_row(tmp_path, source):
    for _ in range(2):
        quick_start = QuickStart(tmp_path, source)
        try:
            quick_start.wait()
            lines = [line.strip() for line in quick_start.text().splitlines()
                     if re.match(r"  (curl|etcdctl|export|for|printf|cat|rm) ", line)]
            assert len(lines) >= 8
            run_as_printed(lines, quick_start.ports)
        finally:
            quick_start.stop()
        assert quick_start.child.returncode == 0, quick_start.text()
        for name, port in quick_start.ports.items():
            assert http_get(port, "/")[0] == 0, f"{name} is still open after Ctrl-C"


def is_all_closed(quick_start):
    return all(http_get(port, "/")[0] == 0 for port in quick_start.ports.values())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL],
                         ids=lambda number: number.name)
def test_however_it_ends_nothing_stays_and_it_starts_again(tmp_path, number):
    """Killed as well: what it has started ends with it. The folder's name has a space in it."""
    first = QuickStart(tmp_path, "etcd", data="my data")
    first.wait()
    first.child.send_signal(number)
    first.child.wait(60)
    wait_until(lambda: is_all_closed(first), "everything to end")
    second = QuickStart(tmp_path, "dir", ports=first.ports, data="my data")
    try:
        second.wait()
        run_as_printed([line.strip() for line in second.text().splitlines()
                        if re.match(r"  (curl|printf) .*hello", line)], second.ports)
    finally:
        second.stop()


@pytest.mark.parametrize("after", [0, 0.05, 0.2, 0.5, 1])
def test_interrupted_while_it_starts_it_leaves_nothing(tmp_path, after):
    quick_start = QuickStart(tmp_path, "etcd")
    time.sleep(after)
    os.killpg(quick_start.child.pid, signal.SIGINT)  # as a terminal does
    quick_start.child.wait(60)
    wait_until(lambda: is_all_closed(quick_start), "everything to end")


def test_two_do_not_share_a_folder_and_nothing_of_others_is_deleted(tmp_path):
    first = QuickStart(tmp_path, "dir")
    try:
        first.wait()
        result = run_refused(tmp_path / "data")
        assert "another make run" in result.stderr
    finally:
        first.stop()
    other = tmp_path / "home/policy/precious"
    other.mkdir(parents=True)
    result = run_refused(tmp_path / "home")
    assert "has other things in it" in result.stderr and other.exists()


def run_refused(data):
    result = subprocess.run([TOP / "deploy/run"], capture_output=True, text=True, timeout=60, env={
        **os.environ, **{name: str(free_port()) for name in NAMES}, "WEIR_DATA": str(data)})
    assert result.returncode == 1 and result.stderr.count("\n") == 1
    return result


def code_blocks(text):
    """The indented blocks of a Markdown text, each a list of lines."""
    blocks = re.findall(r"(?:^    .*\n)+", text, re.M)
    return [[line.strip() for line in block.splitlines()] for block in blocks]


# The other commands of the README, and where they run.
RUN_ELSEWHERE = {
    "make run": "deploy/run is what it starts, above",
    "make test": "runs this test",
    "make check": "the first part of make test",
    "make bench": "takes half an hour and packages of its own; beside the tests by nature",
    "make soak": "takes ten minutes; beside the tests by nature",
    "make fuzz": "make test runs the same for 10 s each",
}


def test_every_command_of_the_readme_runs_or_says_where(tmp_path):
    blocks = code_blocks((TOP / "README.md").read_text())
    commands = [re.sub(r"\s+#.*", "", line) for block in blocks for line in block]
    makes = [command for command in commands if command.startswith("make ")]
    assert set(makes) == set(RUN_ELSEWHERE)
    for command in makes:
        assert re.search(f"^{command.split()[1]}:", (TOP / "Makefile").read_text(), re.M), command
    quick_start = QuickStart(tmp_path, "etcd")
    try:
        quick_start.wait()
        rest = [command.replace(":8080/", f":{quick_start.ports['GATEWAY_PORT']}/")
                for command in commands if command not in makes]
        assert len(rest) >= 4
        run_as_printed(["export ETCDCTL_ENDPOINTS=127.0.0.1:" + quick_start.ports["ETCD_PORT"], *rest],
                       quick_start.ports)
    finally:
        quick_start.stop()


def test_a_taken_port_is_named_before_anything_starts(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        ports = {name: str(free_port()) for name in NAMES}
        ports["XDS_PORT"] = str(other.getsockname()[1])
        result = subprocess.run(["deploy/run"], cwd=TOP, capture_output=True, text=True, timeout=60,
                                env={**os.environ, **ports, "WEIR_DATA": str(tmp_path)})
    assert result.returncode != 0
    assert "XDS_PORT" in result.stderr and ports["XDS_PORT"] in result.stderr
    assert not list(tmp_path.glob("log/*"))
