"""The same requests through weir-proxy and through stock Envoy, both fed by one weir-control from one
policy: status, governed headers, body and chosen back end must agree. A known difference is a field of
its row, with its reason; a row whose difference has gone fails, so that the table stays true."""

import json

import pytest

from processes import free_port, wait_until
from raw_http import Connection, build, fetch

# Headers of an answer that differ by nature.
IGNORED = {"date", "x-request-id"}
# What a back end sees that differs by nature: a fresh id; and Envoy appends its own address to
# x-forwarded-for for clients on loopback (reference: stock Envoy 1.40, use_remote_address).
SEEN_BY_BACKEND_IGNORED = {"x-request-id", "x-forwarded-for", "x-envoy-external-address",
                           "x-envoy-internal"}


def policy(ports, backends):
    """Every feature that the request table below touches."""
    both = ["weir", "envoy"]
    route = lambda **fields: {"gateways": both, **fields}
    to = lambda *names: {"backends": [{"service": name} for name in names]}
    return {
        "gateways/weir": {"listeners": [
            {"name": "http", "address": "127.0.0.1", "port": ports["weir"]}]},
        "gateways/envoy": {"listeners": [
            {"name": "http", "address": "127.0.0.1", "port": ports["envoy"]}]},
        "services/a": {"endpoints": [{"address": f"127.0.0.1:{backends['a']}"}]},
        "services/b": {"endpoints": [{"address": f"127.0.0.1:{backends['b']}"}]},
        "services/refusing": {"endpoints": [{"address": f"127.0.0.1:{backends['refusing']}"}]},
        "services/empty": {},
        "services/none-allowed": {"endpoints": [{"address": f"127.0.0.1:{backends['a']}"}],
                                  "circuit_breaker": {"limits": {"max_requests": 0}}},
        "consumers/alice": {"api_keys": [{"key": "s3cret"}, {"key": "s3cret-2"}],
                            "groups": ["staff"]},
        "consumers/bob": {"api_keys": [{"key": "b0b"}]},
        "policies/keys": {"api_key": {"header": "x-api-key"}},
        "policies/keys-anywhere": {"api_key": {"header": "x-key", "query": "key", "cookie": "key"}},
        "policies/keys-kept": {"api_key": {"forward_key": True}},
        "policies/staff": {"api_key": {"groups": ["staff"]}},
        "policies/headers": {"headers": {
            "request": {"remove": ["x-remove"], "set": {"x-set": "by-weir"},
                        "add": {"x-twice": "two"}, "set_if_absent": {"x-if-absent": "default"}},
            "response": {"remove": ["x-backend"], "set": {"x-frame-options": "DENY"},
                         "add": {"x-added": "yes"}}}},
        "limits/three": {"requests": 3, "per": "3600s"},
        "limits/two-each": {"key": ["consumer"], "requests": 2, "per": "3600s"},
        "limits/by-address": {"key": ["client_address"], "requests": 2, "per": "3600s"},
        "limits/by-header": {"key": ["header:x-tenant"], "requests": 1, "per": "3600s"},
        "limits/burst": {"requests": 1, "per": "3600s", "burst": 2},
        "routes/exact": route(match={"path": {"exact": "/exact"}}, **to("a")),
        "routes/prefix": route(match={"path": {"prefix": "/prefix"}}, **to("a")),
        "routes/prefix-longer": route(match={"path": {"prefix": "/prefix/longer"}}, **to("b")),
        "routes/below": route(match={"path": {"prefix": "/below/"}}, **to("a")),
        "routes/template": route(match={"path": {"template": "/users/{id}/orders/{order}"}}, **to("a")),
        "routes/regex": route(match={"path": {"regex": "/re/v[12]/[a-z]+"}}, **to("b")),
        "routes/method": route(match={"path": {"prefix": "/method"}, "methods": ["POST", "PUT"]},
                               **to("a")),
        "routes/method-any": route(match={"path": {"prefix": "/method"}}, **to("b")),
        "routes/header-exact": route(match={"path": {"prefix": "/hdr"}, "headers": [
            {"name": "x-kind", "exact": "one"}]}, **to("a")),
        "routes/header-prefix": route(match={"path": {"prefix": "/hdr"}, "headers": [
            {"name": "x-kind", "prefix": "pre"}]}, **to("b")),
        "routes/header-regex": route(match={"path": {"prefix": "/hdr"}, "headers": [
            {"name": "x-kind", "regex": "re[0-9]+"}]},
            direct_response={"status": 200, "body": "regex"}),
        "routes/header-absent": route(match={"path": {"prefix": "/hdr"}, "headers": [
            {"name": "x-kind", "present": False}]},
            direct_response={"status": 200, "body": "absent"}),
        "routes/query": route(match={"path": {"prefix": "/query"}, "query": [
            {"name": "q", "exact": "1"}]}, **to("a")),
        "routes/query-present": route(match={"path": {"prefix": "/query"}, "query": [
            {"name": "p", "present": True}]}, **to("b")),
        "routes/hosts": route(hosts=["api.example.org"], match={"path": {"prefix": "/host"}}, **to("a")),
        "routes/hosts-wild": route(hosts=["*.example.org"], match={"path": {"prefix": "/host"}},
                                   **to("b")),
        "routes/direct": route(match={"path": {"exact": "/direct"}},
                               direct_response={"status": 201, "body": "made here\n"}),
        "routes/direct-empty": route(match={"path": {"exact": "/direct-empty"}},
                                     direct_response={"status": 204}),
        "routes/direct-error": route(match={"path": {"exact": "/direct-error"}},
                                     direct_response={"status": 503, "body": "closed today"}),
        "routes/redirect-host": route(match={"path": {"prefix": "/to-host"}},
                                      redirect={"host": "other.example.com"}),
        "routes/redirect-https": route(match={"path": {"prefix": "/to-https"}},
                                       redirect={"scheme": "https", "status": 308}),
        "routes/redirect-path": route(match={"path": {"prefix": "/to-path"}},
                                      redirect={"path": "/elsewhere", "status": 302}),
        "routes/redirect-prefix": route(match={"path": {"prefix": "/to-prefix"}},
                                        redirect={"prefix": "/new", "status": 307, "strip_query": True}),
        "routes/redirect-port": route(match={"path": {"prefix": "/to-port"}},
                                      redirect={"port": 8443, "status": 303}),
        "routes/rewrite": route(match={"path": {"prefix": "/rewrite"}}, rewrite={"prefix": "/new"},
                                **to("a")),
        "routes/rewrite-root": route(match={"path": {"prefix": "/strip"}}, rewrite={"prefix": "/"},
                                     **to("a")),
        "routes/rewrite-regex": route(match={"path": {"prefix": "/rxrw"}}, rewrite={
            "regex": {"pattern": "^/rxrw/([a-z]+)/([0-9]+)$", "substitution": "/\\2/\\1"}}, **to("a")),
        "routes/rewrite-host": route(match={"path": {"prefix": "/rwhost"}},
                                     rewrite={"host": "inner.example.net"}, **to("a")),
        "routes/key": route(match={"path": {"prefix": "/key"}}, policies=["keys"], **to("a")),
        "routes/key-any": route(match={"path": {"prefix": "/anykey"}}, policies=["keys-anywhere"],
                                **to("a")),
        "routes/key-kept": route(match={"path": {"prefix": "/keptkey"}}, policies=["keys-kept"], **to("a")),
        "routes/key-staff": route(match={"path": {"prefix": "/staff"}}, policies=["staff"], **to("a")),
        "routes/key-missing-policy": route(match={"path": {"prefix": "/shut"}}, policies=["gone"],
                                           **to("a")),
        "routes/limited": route(match={"path": {"prefix": "/limited"}}, limits=["three"], **to("a")),
        "routes/limited-each": route(match={"path": {"prefix": "/each"}}, policies=["keys"],
                                     limits=["two-each"], **to("a")),
        "routes/limited-address": route(match={"path": {"prefix": "/address"}},
                                        limits=["by-address"], **to("a")),
        "routes/limited-header": route(match={"path": {"prefix": "/tenant"}},
                                       limits=["by-header"], **to("a")),
        "routes/limited-burst": route(match={"path": {"prefix": "/burst"}}, limits=["burst"], **to("a")),
        "routes/headers": route(match={"path": {"prefix": "/headers"}}, policies=["headers"], **to("a")),
        "routes/headers-own": route(match={"path": {"prefix": "/ownheaders"}},
                                    request_headers={"set": {"x-set": "own"}},
                                    response_headers={"set": {"x-added": "own"}}, **to("a")),
        "routes/refusing": route(match={"path": {"prefix": "/refusing"}}, **to("refusing")),
        "routes/empty": route(match={"path": {"prefix": "/empty"}}, **to("empty")),
        "routes/dangling": route(match={"path": {"prefix": "/dangling"}}, **to("nowhere")),
        "routes/overflow": route(match={"path": {"prefix": "/overflow"}}, **to("none-allowed")),
        "routes/slow": route(match={"path": {"prefix": "/slow"}}, timeout="0.3s", **to("a")),
        "routes/weighted": route(match={"path": {"prefix": "/weighted"}}, backends=[
            {"service": "a", "weight": 0}, {"service": "b", "weight": 10}]),
        "routes/half-dangling": route(match={"path": {"prefix": "/halfdangling"}}, backends=[
            {"service": "a", "weight": 0}, {"service": "nowhere", "weight": 1}]),
    }


class Case:
    """One row: a request (target, method, headers, body, host, or raw bytes), sent `times` times on
    connections of its own, and what may differ: {"status"|"body"|header name|"seen": reason}."""

    def __init__(self, name, target="/", method="GET", headers=(), body=b"", host="example.com",
                 raw=None, times=1, differs=None):
        self.name, self.method, self.times = name, method, times
        self.raw = raw or build(method, target, headers, body, host)
        self.differs = differs or {}


KEY = ("x-api-key", "s3cret")
CASES = [
    # --- which route ---
    Case("exact path", "/exact"),
    Case("exact path with query", "/exact?a=b"),
    Case("exact path with a slash behind", "/exact/"),
    Case("exact path in other case", "/EXACT"),
    Case("prefix itself", "/prefix"),
    Case("below a prefix", "/prefix/x/y"),
    Case("prefix is no path segment", "/prefixed"),
    Case("prefix with query", "/prefix?x"),
    Case("longer prefix wins", "/prefix/longer/x"),
    Case("longer prefix as a whole", "/prefix/longer"),
    Case("prefix ending in a slash", "/below/x"),
    Case("prefix ending in a slash, without it", "/below"),
    Case("template", "/users/7/orders/8"),
    Case("template with an empty part", "/users//orders/8"),
    Case("template with one part more", "/users/7/orders/8/9"),
    Case("regex", "/re/v2/abc"),
    Case("regex must match as a whole", "/re/v2/abc/d"),
    Case("regex looks at the path only", "/re/v1/abc?x=/"),
    Case("method", "/method", method="POST", body=b"x"),
    Case("other method", "/method", method="GET"),
    Case("method PUT", "/method/x", method="PUT", body=b"12345"),
    Case("unusual method", "/method", method="PROPFIND"),
    Case("header exact", "/hdr", headers=[("X-Kind", "one")]),
    Case("header exact, other case of the value", "/hdr", headers=[("x-kind", "ONE")]),
    Case("header prefix", "/hdr", headers=[("x-kind", "prefix")]),
    Case("header regex", "/hdr", headers=[("x-kind", "re12")]),
    Case("header regex must match as a whole", "/hdr", headers=[("x-kind", "re12x")]),
    Case("header absent", "/hdr"),
    Case("header twice is joined", "/hdr", headers=[("x-kind", "one"), ("x-kind", "two")]),
    Case("query parameter", "/query?q=1"),
    Case("query parameter, other value", "/query?q=2"),
    Case("query parameter present", "/query?p"),
    Case("query parameter is the second", "/query?x=y&q=1"),
    Case("host with a port", "/host", host="api.example.org:8080"),
    Case("wildcard host with a port", "/host", host="www.example.org:1"),
    Case("host", "/host", host="api.example.org"),
    Case("host in capitals", "/host", host="API.Example.ORG"),
    Case("wildcard host", "/host", host="www.example.org"),
    Case("wildcard host, two labels", "/host", host="a.b.example.org"),
    Case("wildcard does not take the bare domain", "/host", host="example.org"),
    Case("host without a route", "/host", host="example.net"),
    Case("no route", "/nothing/here"),
    Case("no route for a client that wants text", "/nothing", headers=[("accept", "text/plain")]),
    Case("no route, HEAD", "/nothing", method="HEAD"),
    # --- path forms ---
    Case("dot segments", "/prefix/../exact"),
    Case("escaped dots", "/prefix/%2e%2e/exact"),
    Case("double slashes", "//exact"),
    Case("dot segments above the root", "/../../exact"),
    Case("escaped slash", "/prefix/a%2fb"),
    Case("escaped backslash", "/prefix/a%5cb"),
    Case("escaped NUL", "/prefix/a%00b"),
    Case("double escape stays", "/prefix/a%252fb"),
    Case("semicolons stay", "/prefix/a;x=1/b"),
    Case("query is not normalised", "/prefix?x=/../y//z"),
    # --- answers without a back end ---
    Case("direct response", "/direct"),
    Case("direct response, HEAD", "/direct", method="HEAD"),
    Case("direct response, POST with a body", "/direct", method="POST", body=b"abc", differs={
        "connection": "Envoy answers at the head and closes; weir-proxy keeps the connection where "
                      "all of the request is there"}),
    Case("direct response without body", "/direct-empty"),
    Case("direct response with an error status", "/direct-error"),
    Case("redirect to a host", "/to-host/x?y=z"),
    Case("redirect to https", "/to-https/x"),
    Case("redirect to a path", "/to-path/x?y=z"),
    Case("redirect with another prefix", "/to-prefix/x?y=z"),
    Case("redirect to a port", "/to-port/x"),
    Case("redirect to a port, from a host with port", "/to-port/x", host="example.com:8080"),
    # --- towards the back end ---
    Case("prefix rewrite", "/rewrite/x?y=z"),
    Case("prefix rewrite of the prefix alone", "/rewrite"),
    Case("prefix rewrite to the root", "/strip/x"),
    Case("prefix rewrite to the root of the prefix alone", "/strip"),
    Case("regex rewrite", "/rxrw/abc/12?q"),
    Case("regex rewrite that finds nothing", "/rxrw/ABC"),
    Case("host rewrite", "/rwhost"),
    Case("body", "/exact", method="POST", body=b"x" * 10000),
    Case("chunked body", raw=b"POST /exact HTTP/1.1\r\nHost: e\r\nTransfer-Encoding: chunked\r\n\r\n"
         b"5\r\nhello\r\n3;ext=1\r\nyou\r\n0\r\nTrailer-X: y\r\n\r\n"),
    Case("HEAD", "/exact", method="HEAD", differs={
        "transfer-encoding": "Envoy announces how it would frame a body, where the back end gave no length"}),
    Case("OPTIONS", "/exact", method="OPTIONS"),
    Case("status of the back end", "/exact?status=418"),
    Case("error of the back end", "/exact?status=500"),
    Case("large answer", "/exact?body=300000"),
    Case("empty answer", "/exact?body=0"),
    Case("204 of the back end", "/exact?status=204&body=0"),
    Case("hop-by-hop headers", "/exact", headers=[
        ("Connection", "keep-alive, x-private"), ("X-Private", "1"), ("Keep-Alive", "timeout=5"),
        ("Proxy-Connection", "x"), ("TE", "gzip")]),
    Case("te: trailers", "/exact", headers=[("TE", "trailers")]),
    Case("x-forwarded-proto of a client", "/exact", headers=[("X-Forwarded-Proto", "https")]),
    Case("forged identity", "/exact", headers=[("x-weir-consumer", "admin")]),
    Case("forged client certificate", "/exact", headers=[("X-Forwarded-Client-Cert", "Hash=1")]),
    Case("forged word of a proxy", "/exact", headers=[
        ("Forwarded", "for=1.2.3.4"), ("X-Real-IP", "1.2.3.4"), ("X-Forwarded-Host", "admin"),
        ("X-Forwarded-Port", "1"), ("X-Forwarded-Prefix", "/a")]),
    Case("lines that are joined, and others", "/exact", headers=[
        ("Authorization", "a"), ("User-Agent", "u"), ("x-a", "1"), ("Authorization", "b"),
        ("Accept", "c"), ("x-a", "2"), ("Accept", "d"), ("Content-Type", "text/a"),
        ("Content-Type", "text/b"), ("User-Agent", "v"), ("If-None-Match", "a"), ("Referer", "r"),
        ("If-Modified-Since", "d"), ("If-Modified-Since", "e"), ("If-None-Match", "b"),
        ("Referer", "s"), ("Content-Encoding", "x"), ("Content-Encoding", "y")]),
    Case("header with underscore", "/exact", headers=[("x_under", "1"), ("x-plain", "1")]),
    Case("expect: 100-continue", "/exact", method="POST", headers=[("Expect", "100-continue")],
         body=b"hello"),
    Case("weighted, all to one", "/weighted"),
    # --- keys ---
    Case("key missing", "/key"),
    Case("key wrong", "/key", headers=[("x-api-key", "wrong")]),
    Case("key right", "/key", headers=[KEY]),
    Case("second key of the same consumer", "/key", headers=[("x-api-key", "s3cret-2")]),
    Case("key with Bearer", "/key", headers=[("x-api-key", "Bearer s3cret")]),
    Case("key twice", "/key", headers=[KEY, ("x-api-key", "wrong")]),
    Case("key empty", "/key", headers=[("x-api-key", "")]),
    Case("key right with forged identity", "/key", headers=[KEY, ("x-weir-consumer", "admin")]),
    Case("key in another header", "/anykey", headers=[("x-key", "b0b")]),
    Case("key in the query", "/anykey?a=1&key=b0b&c=2"),
    Case("key in a cookie", "/anykey", headers=[("Cookie", "x=1; key=b0b")]),
    Case("key passed on", "/keptkey", headers=[KEY]),
    Case("consumer admitted by group", "/staff", headers=[KEY]),
    Case("consumer not admitted", "/staff", headers=[("x-api-key", "b0b")]),
    Case("missing policy shuts the route", "/shut"),
    Case("key missing, client wants text", "/key", headers=[("Accept", "text/html")]),
    # --- limits: the last of `times` requests is compared ---
    Case("limit, first", "/limited"),
    Case("limit, over it", "/limited", times=4),
    Case("limit by consumer", "/each", headers=[KEY]),
    Case("limit by consumer, over it", "/each", headers=[KEY], times=3),
    Case("limit by consumer, another", "/each", headers=[("x-api-key", "b0b")]),
    Case("limit by consumer, no key", "/each"),
    Case("limit by address", "/address"),
    Case("limit by address, over it", "/address", times=3),
    Case("limit by header", "/tenant", headers=[("x-tenant", "t1")]),
    Case("limit by header, over it", "/tenant", headers=[("x-tenant", "t1")], times=2),
    Case("limit by header, another", "/tenant", headers=[("x-tenant", "t2")]),
    Case("limit by header, without it", "/tenant", times=3),
    Case("limit with burst", "/burst", times=2),
    Case("limit with burst, over it", "/burst", times=3),
    # --- header changes ---
    Case("header policy", "/headers", headers=[("x-remove", "1"), ("x-set", "client"),
                                               ("x-twice", "one")]),
    Case("header policy, value is there", "/headers", headers=[("x-if-absent", "mine")]),
    Case("header policy, answer of an error", "/headers?status=500"),
    Case("header changes of the route", "/ownheaders"),
    # --- failures ---
    Case("back end refuses", "/refusing", differs={
        "body": "Envoy tells the client the errno of its connection to the back end"}),
    Case("no endpoint", "/empty"),
    Case("missing service", "/dangling"),
    Case("missing service of a weighted route", "/halfdangling"),
    Case("threshold", "/overflow"),
    Case("route timeout", "/slow?delay=2000"),
    Case("grpc without a route", "/pkg.Service/Method", method="POST",
         headers=[("content-type", "application/grpc"), ("te", "trailers")]),
    Case("grpc towards no endpoint", "/empty/Method", method="POST",
         headers=[("content-type", "application/grpc"), ("te", "trailers")]),
    # --- malformed ---
    Case("HTTP/1.0", raw=b"GET /exact HTTP/1.0\r\nHost: e\r\n\r\n"),
    Case("no host", raw=b"GET /exact HTTP/1.1\r\n\r\n"),
    Case("content-length with chunked", raw=b"POST /exact HTTP/1.1\r\nHost: e\r\nContent-Length: 5\r\n"
         b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    Case("space before colon", raw=b"GET /exact HTTP/1.1\r\nHost: e\r\nX-A : b\r\n\r\n"),
    Case("too many headers", "/exact", headers=[(f"x-{i}", "1") for i in range(120)]),
    Case("head too large", "/exact", headers=[("x-large", "x" * 70000)]),
    Case("upgrade", "/exact", headers=[("Connection", "upgrade"), ("Upgrade", "websocket")]),
    Case("CONNECT", raw=b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n"),
]


@pytest.fixture(scope="module")
def ports(stack):
    ports = {"weir": free_port(), "envoy": free_port()}
    backends = {name: stack.backend(name).port for name in ("a", "b")}
    backends["refusing"] = free_port()
    etcd = stack.etcd()
    etcd.put_all(policy(ports, backends))
    control = stack.control(etcd)
    stack.proxy(control, "weir")
    stack.envoy(control, "envoy")
    for port in ports.values():
        wait_until(lambda: fetch(port, "/direct").status == 201, f"an answer on {port}")
    return ports


def ask(port, case):
    for _ in range(case.times):
        with Connection(port) as connection:
            connection.send(case.raw)
            answer = connection.answer(case.method)
    return answer


def essence(answer):
    """What must agree, as a flat dictionary."""
    if answer is None:
        return {"status": None}
    found = {name: answer.header(name) for name, _ in answer.headers if name not in IGNORED}
    found["status"] = answer.status
    if "x-ratelimit-reset" in found:  # seconds, which pass between the two requests
        found["x-ratelimit-reset"] = int(found["x-ratelimit-reset"]) <= 3600
    found["request id is echoed"] = answer.header("x-request-id") is not None
    body = answer.body
    if body.startswith(b'{\n  "backend"'):
        seen = json.loads(body)
        seen["headers"] = {name.lower(): value for name, value in seen["headers"].items()
                           if name.lower() not in SEEN_BY_BACKEND_IGNORED}
        found["seen"] = seen
        found["content-length"] = None  # the described headers differ in length
    elif answer.header("content-type") == "application/problem+json" and body:
        problem = json.loads(body)
        found["request id in the body"] = problem.pop("request_id", None) is not None
        found["body"] = problem
        found["content-length"] = None
    else:
        found["body"] = body
    return found


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_both_data_planes_agree(ports, case):
    weir, envoy = essence(ask(ports["weir"], case)), essence(ask(ports["envoy"], case))
    differing = {key: (weir.get(key), envoy.get(key)) for key in sorted(weir.keys() | envoy.keys())
                 if weir.get(key) != envoy.get(key)}
    unexpected = {key: pair for key, pair in differing.items() if key not in case.differs}
    assert not unexpected, "\n".join(f"{key}: weir-proxy {weir!r}, Envoy {envoy!r}"
                                     for key, (weir, envoy) in unexpected.items())
    gone = set(case.differs) - set(differing)
    assert not gone, f"no longer different: {gone}; take it out of the table"


def test_the_table_has_at_least_eighty_requests():
    assert len(CASES) >= 80
    assert len({case.name for case in CASES}) == len(CASES)
