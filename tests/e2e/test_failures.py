"""Parts that die, hang or lie: traffic goes on, the operator is told exactly what is wrong and where,
and everything recovers by itself."""

import json
import signal
import socket
import time

import pytest

from processes import Stack, free_port, http_get, wait_until
from raw_http import fetch


class Bed:
    def __init__(self, stack):
        self.stack, self.port = stack, free_port()
        self.backend = stack.backend("a")
        self.etcd = stack.etcd()
        self.etcd.put_all({
            "gateways/public": {"listeners": [
                {"name": "http", "address": "127.0.0.1", "port": self.port}]},
            "services/a": {"endpoints": [{"address": f"127.0.0.1:{self.backend.port}"}]},
            "routes/a": self.route("/a")})
        self.control = stack.control(self.etcd)
        self.proxy = stack.proxy(self.control, "public")
        self.works()

    @staticmethod
    def route(prefix, service="a"):
        return {"gateways": ["public"], "match": {"path": {"prefix": prefix}},
                "backends": [{"service": service}]}

    def works(self, target="/a"):
        wait_until(lambda: _answers(self.port, target), f"{target} to be answered")

    def still_works(self, target="/a"):
        assert fetch(self.port, target).status == 200

    def changes_arrive(self, name):
        """A change now is live soon: everything has recovered."""
        self.etcd.put(f"routes/{name}", self.route(f"/{name}"))
        wait_until(lambda: _answers(self.port, f"/{name}"), f"/{name} after recovery")

    def status_message(self, key, containing):
        def message():
            text = (self.etcd.status_of(key) or {}).get("message", "")
            return text if containing in text else None
        return wait_until(message, f"the status of {key} to say {containing!r}")


@pytest.fixture
def bed(tmp_path):
    with Stack(tmp_path) as stack:
        yield Bed(stack)


def test_etcd_killed_and_back(bed):
    bed.etcd.kill()
    wait_until(lambda: "etcd" in http_get(bed.control.admin_port, "/ready")[1], "ready to say so")
    bed.still_works()
    bed.etcd.start()
    bed.changes_arrive("after-kill")


def test_etcd_stopped_for_thirty_seconds(bed):
    bed.etcd.signal(signal.SIGSTOP)
    began = time.monotonic()
    try:
        wait_until(lambda: "etcd" in http_get(bed.control.admin_port, "/ready")[1],
                   "the silent etcd to be noticed")
        while time.monotonic() - began < 30:
            bed.still_works()
            time.sleep(1)
    finally:
        bed.etcd.signal(signal.SIGCONT)
    bed.changes_arrive("after-stop")


def test_control_plane_killed_and_back(bed):
    bed.control.kill()
    time.sleep(0.5)
    bed.still_works()
    bed.etcd.put("routes/meanwhile", bed.route("/meanwhile"))
    bed.control.start()
    bed.works("/meanwhile")
    bed.changes_arrive("after-control")


def test_everything_but_the_proxy_is_away_when_it_starts(bed):
    wait_until(lambda: (bed.proxy.folder / "weir-proxy.last-good").exists(), "the last good copy")
    bed.control.kill()
    bed.etcd.kill()
    bed.proxy.stop()
    bed.proxy.start(wait=False)
    bed.works()
    assert "stale" in http_get(bed.proxy.admin_port, "/ready")[1].lower()
    bed.etcd.start()
    bed.control.start()
    bed.changes_arrive("after-boot")
    wait_until(lambda: "stale" not in http_get(bed.proxy.admin_port, "/ready")[1].lower(), "not stale")


def test_control_plane_starts_without_etcd(bed):
    wait_until(lambda: (bed.control.folder / "weir-control.last-good").exists(), "the last good copy")
    bed.control.stop()
    bed.etcd.kill()
    bed.control.start(wait=False)
    wait_until(lambda: "stale" in http_get(bed.control.admin_port, "/ready")[1].lower()
               or "last good" in http_get(bed.control.admin_port, "/ready")[1].lower(), "stale policy")
    second = bed.stack.proxy(bed.control, "public", name="second", wait=False)
    wait_until(lambda: http_get(second.admin_port, "/listeners")[0] == 200, "the second proxy")
    bed.still_works()
    bed.etcd.start()
    bed.changes_arrive("after-cold")


def test_compaction_while_disconnected(bed):
    bed.control.signal(signal.SIGSTOP)
    for i in range(50):
        bed.etcd.put("routes/b", bed.route(f"/b{i}"))
    revision = bed.etcd.put("routes/c", bed.route("/c"))
    bed.etcd.call("kv/compaction", {"revision": revision, "physical": True})
    bed.etcd.kill()
    bed.control.signal(signal.SIGCONT)
    bed.etcd.start()
    bed.works("/b49")
    bed.works("/c")
    bed.changes_arrive("after-compaction")


def test_an_emptied_etcd_is_not_taken_for_delete_everything(bed):
    bed.etcd.call("kv/deleterange", {"key": bed.etcd._b64("/weir/v1/"),
                                     "range_end": bed.etcd._b64("/weir/v10")})
    wait_until(lambda: "empt" in http_get(bed.control.admin_port, "/ready")[1], "ready to say so")
    bed.still_works()
    bed.etcd.put_all({
        "gateways/public": {"listeners": [{"name": "http", "address": "127.0.0.1", "port": bed.port}]},
        "services/a": {"endpoints": [{"address": f"127.0.0.1:{bed.backend.port}"}]},
        "routes/new": bed.route("/new")})
    bed.works("/new")
    wait_until(lambda: "empt" not in http_get(bed.control.admin_port, "/ready")[1], "not empty any more")


def test_a_value_of_ten_megabytes(bed):
    bed.etcd.put("routes/huge", json.dumps({**bed.route("/huge"), "hosts": ["x" * (10 << 20)]}))
    bed.status_message("routes/huge", "routes/huge")
    bed.still_works()
    bed.changes_arrive("after-huge")
    bed.etcd.delete("routes/huge")
    wait_until(lambda: bed.etcd.status_of("routes/huge") is None, "its status to go")


@pytest.mark.parametrize("value,says", [
    ('{"gateways":["public"', "line"),
    ('{"gateways":["public"],"match":{"path":{"prefix":"no-slash"}},"backends":[{"service":"a"}]}',
     "match.path.prefix"),
    ('{"gateways":["public"],"backend":[{"service":"a"}]}', "backend"),
    ('{"gateways":["public"],"match":{"path":{"regex":"(a+"}},"backends":[{"service":"a"}]}',
     "match.path.regex"),
    ('{"gateways":["public"],"match":{"path":{"prefix":7}},"backends":[{"service":"a"}]}',
     "match.path.prefix"),
    ('\xff\xfe'.encode("latin-1"), "routes/bad"),
], ids=["cut off", "prefix", "unknown field", "regex", "wrong type", "not text"])
def test_a_bad_object_is_kept_out_and_named(bed, value, says):
    bed.etcd.put("routes/bad", value)
    message = bed.status_message("routes/bad", says)
    assert message.startswith("routes/bad"), message
    assert bed.etcd.status_of("routes/bad")["accepted"] in (False, None)
    bed.still_works()
    # A good version heals; a bad one after it leaves the good one in use.
    bed.etcd.put("routes/bad", bed.route("/bad"))
    bed.works("/bad")
    bed.etcd.put("routes/bad", value)
    bed.status_message("routes/bad", says)
    bed.still_works("/bad")


def test_a_dangling_reference_takes_nothing_with_it(bed):
    bed.etcd.put("routes/dangling", bed.route("/dangling", "gone"))
    wait_until(lambda: any("gone" in warning for warning in
                           (bed.etcd.status_of("routes/dangling") or {}).get("warnings", [])),
               "a warning that names the service")
    assert fetch(bed.port, "/dangling").status == 503
    bed.still_works()
    bed.etcd.delete("services/a")
    wait_until(lambda: fetch(bed.port, "/a").status == 503, "the service to be gone")
    bed.etcd.put("services/a", {"endpoints": [{"address": f"127.0.0.1:{bed.backend.port}"}]})
    bed.works()


def test_a_listener_port_that_is_taken(bed):
    taken = free_port()
    with socket.create_server(("127.0.0.1", taken)):
        bed.etcd.put("gateways/public", {"listeners": [
            {"name": "http", "address": "127.0.0.1", "port": bed.port},
            {"name": "second", "address": "127.0.0.1", "port": taken}]})
        def refusal():
            refused = (bed.etcd.status_of("gateways/public") or {}).get("refused_by", [])
            return refused[0]["message"] if refused else None
        message = wait_until(refusal, "the refusal in the status")
        assert "public/second" in message and str(taken) in message and "in use" in message
        bed.still_works()
    bed.etcd.put("gateways/public", {"listeners": [
        {"name": "http", "address": "127.0.0.1", "port": bed.port},
        {"name": "second", "address": "127.0.0.1", "port": taken},
        {"name": "third", "address": "127.0.0.1", "port": free_port()}]})
    wait_until(lambda: _answers(taken), "the listener once its port is free")


def _answers(port, target="/a"):
    try:
        answer = fetch(port, target)
        return answer is not None and answer.status == 200
    except (OSError, EOFError):
        return False


def test_sigterm_drains(bed):
    """Readiness fails first, requests under way are finished, then the process ends by itself."""
    import threading
    answers = []
    before = bed.backend.count()
    slow = threading.Thread(target=lambda: answers.append(fetch(bed.port, "/a?delay=4000")))
    slow.start()
    wait_until(lambda: bed.backend.count() > before, "the slow request to arrive")
    bed.proxy.signal(signal.SIGTERM)
    slow.join()
    assert answers[0].status == 200 and answers[0].header("connection") == "close"
    bed.proxy.child.wait(60)
    assert bed.proxy.child.returncode == 0
