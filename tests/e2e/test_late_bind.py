"""A listener whose port was taken: what the operator reads changes by itself when it became free."""

import socket

from processes import free_port, wait_until
from raw_http import fetch


def gateway(*listeners):
    return {"listeners": [{"name": name, "address": "127.0.0.1", "port": port}
                          for name, port in listeners]}


ROUTE = {"gateways": ["public"], "match": {"path": {"prefix": "/"}}, "direct_response": {"status": 200}}


def answers(port):
    try:
        return fetch(port, "/").status == 200
    except OSError:
        return False


def test_the_status_says_live_once_the_port_is_free(stack):
    etcd = stack.etcd()
    port = free_port()
    etcd.put_all({"gateways/public": gateway(("http", port)), "routes/all": ROUTE})
    control = stack.control(etcd)
    proxy = stack.proxy(control, "public")
    wait_until(lambda: answers(port), "the first answer")
    status = lambda: etcd.status_of("gateways/public") or {}
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        etcd.put("gateways/public", gateway(("http", port), ("second", taken)))
        wait_until(lambda: status().get("refused_by"), "the refusal in the status")
        assert proxy.name not in status().get("live_on", [])
    wait_until(lambda: answers(taken), "the listener once its port is free", 30)
    wait_until(lambda: not status().get("refused_by"), "the refusal gone from the status", 30)
    wait_until(lambda: proxy.name in status().get("live_on", []), "live on the proxy", 30)
    wait_until(lambda: (etcd.status_of(f"proxies/{proxy.name}") or {}).get("in_sync"),
               "the proxy in sync", 30)
    assert answers(port) and answers(taken)
    # Asked for by name or not, it goes and comes with the policy.
    etcd.put("gateways/public", gateway(("http", port)))
    wait_until(lambda: not answers(taken), "the listener to go")
    etcd.put("gateways/public", gateway(("http", port), ("second", taken)))
    wait_until(lambda: answers(taken), "the listener to come back")
    wait_until(lambda: proxy.name in status().get("live_on", []), "live again", 30)
    assert not status().get("refused_by")
