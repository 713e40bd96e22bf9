"""500 changes of the configuration under load: not one failed request, and memory stays flat."""

import re
import subprocess
import threading

from processes import free_port, wait_until
from raw_http import fetch

CHANGES = 500


def test_five_hundred_changes_fail_no_request(stack):
    port = free_port()
    backends = [stack.backend(name) for name in ("a", "b")]
    etcd = stack.etcd()
    gateway = {"listeners": [{"name": "http", "address": "127.0.0.1", "port": port}]}
    objects = {f"services/{b.name[8:]}": {"endpoints": [{"address": f"127.0.0.1:{b.port}"}]}
               for b in backends}
    route = lambda service, **fields: {"gateways": ["public"], "match": {"path": {"prefix": "/"}},
                                       "backends": [{"service": service}], **fields}
    etcd.put_all({"gateways/public": gateway, **objects, "routes/all": route("a")})
    control = stack.control(etcd)
    proxy = stack.proxy(control, "public")
    wait_until(lambda: fetch(port, "/").status == 200, "the first answer")

    wrk = subprocess.Popen(["wrk", "-t1", "-c64", "-d120s", "--timeout", "60s",
                            f"http://127.0.0.1:{port}/"],
                           stdout=subprocess.PIPE, text=True)
    try:
        half = None
        for i in range(CHANGES):
            kind = i % 5
            if kind == 0:
                etcd.put("routes/all", route("ab"[i % 2]))
            elif kind == 1:
                etcd.put(f"routes/extra-{i % 20}", {
                    "gateways": ["public"], "match": {"path": {"prefix": f"/extra/{i}"}},
                    "direct_response": {"status": 200}})
            elif kind == 2:
                # cluster a itself is remade, traffic or not
                etcd.put("services/a", {**objects["services/a"], "connect_timeout": f"{1 + i % 9}s"})
            elif kind == 3:
                # the endpoints of b change: the back end of a joins and leaves
                both = [objects["services/a"]["endpoints"][0], objects["services/b"]["endpoints"][0]]
                etcd.put("services/b", {"endpoints": both[i % 2:]})
            else:
                etcd.put("gateways/public", {**gateway, "max_headers_count": 100 + i % 7})
            if i == CHANGES // 2:
                half = proxy.rss_kib()
        revision = etcd.put("routes/last", {"gateways": ["public"], "match": {"path": {"exact": "/last"}},
                                            "direct_response": {"status": 204}})
        wait_until(lambda: fetch(port, "/last").status == 204, f"revision {revision} to be live")
        end = proxy.rss_kib()
        assert end - half < 4096, f"memory grew from {half} to {end} KiB in the second half"
    finally:
        wrk.send_signal(2)  # SIGINT: wrk prints what it has
        out = wrk.communicate(timeout=20)[0]
    assert "Non-2xx" not in out and "Socket errors" not in out, out
    assert int(re.search(r"(\d+) requests in", out).group(1)) > 1000, out
    stats = proxy.stats()
    assert stats["http.public_http.downstream_rq_5xx"] == 0
