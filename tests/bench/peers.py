"""The contestants: each a command line and its configuration for the same job, one core, keep-alive on
both sides, x-forwarded-for and a request id towards the back end."""

import json
import pathlib
import shutil
import sys

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests/e2e"))

MANAGER = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
ROUTER = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"


def address(port):
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def bootstrap(port, admin_port, backend_port, routes):
    """An Envoy bootstrap with static resources, for Envoy and weir-proxy alike: so many prefix routes,
    of which the last one takes everything that the others do not."""
    prefixes = [f"/r{i:05d}/" for i in range(routes - 1)] + ["/"]
    return {
        "node": {"id": "bench", "cluster": "bench"},
        "admin": {"address": address(admin_port)},
        "static_resources": {
            "listeners": [{"name": "http", "address": address(port), "filter_chains": [{"filters": [{
                "name": "envoy.filters.network.http_connection_manager",
                "typed_config": {
                    "@type": MANAGER, "stat_prefix": "http", "use_remote_address": True,
                    "route_config": {"name": "local", "virtual_hosts": [{
                        "name": "all", "domains": ["*"], "routes": [
                            {"match": {"prefix": prefix}, "route": {"cluster": "backend", "timeout": "15s"}}
                            for prefix in prefixes]}]},
                    "http_filters": [{"name": "envoy.filters.http.router",
                                      "typed_config": {"@type": ROUTER}}]}}]}]}],
            "clusters": [{
                "name": "backend", "type": "STATIC", "connect_timeout": "1s",
                "circuit_breakers": {"thresholds": [{"max_connections": 10000, "max_requests": 10000,
                                                     "max_pending_requests": 10000}]},
                "load_assignment": {"cluster_name": "backend", "endpoints": [{"lb_endpoints": [
                    {"endpoint": {"address": address(backend_port)}}]}]}}]}}


def floor(folder, port, backend_port):
    return [TOP / "build/bench/floor", port, backend_port]


def nginx(folder, port, backend_port):
    (folder / "nginx.conf").write_text(f"""
worker_processes 1; daemon off; master_process off; error_log stderr crit; pid {folder}/nginx.pid;
worker_rlimit_nofile 20000;
events {{ worker_connections 8192; }}
http {{
  access_log off; keepalive_requests 100000000; keepalive_timeout 600s;
  client_body_temp_path {folder}/nginx-body; proxy_temp_path {folder}/nginx-proxy;
  fastcgi_temp_path {folder}/nginx-f; uwsgi_temp_path {folder}/nginx-u; scgi_temp_path {folder}/nginx-s;
  upstream backend {{ server 127.0.0.1:{backend_port}; keepalive 512; keepalive_requests 100000000; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{ proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Request-Id $request_id; }}
  }}
}}""")
    return ["/usr/sbin/nginx", "-p", folder, "-c", folder / "nginx.conf"]


def haproxy(folder, port, backend_port):
    (folder / "haproxy.cfg").write_text(f"""
global
  nbthread 1
  maxconn 8000
defaults
  mode http
  option forwardfor
  unique-id-format %{{+X}}o\\ %ci:%cp_%fi:%fp_%Ts_%rt:%pid
  unique-id-header X-Request-Id
  timeout client 60s
  timeout server 60s
  timeout connect 5s
  http-reuse always
frontend f
  bind 127.0.0.1:{port}
  default_backend b
backend b
  server s1 127.0.0.1:{backend_port} pool-max-conn -1
""")
    return ["/usr/sbin/haproxy", "-f", folder / "haproxy.cfg"]


def h2o(folder, port, backend_port):
    (folder / "h2o.conf").write_text(f"""
num-threads: 1
user: root
hosts:
  default:
    listen: {{host: 127.0.0.1, port: {port}}}
    paths:
      /:
        proxy.reverse.url: "http://127.0.0.1:{backend_port}/"
        proxy.timeout.keepalive: 60000
        proxy.preserve-host: ON
""")
    return [shutil.which("h2o"), "-c", folder / "h2o.conf"]


def _with_bootstrap(name, routes, command):
    def make(folder, port, backend_port):
        from processes import free_port
        path = folder / f"{name}.json"
        path.write_text(json.dumps(bootstrap(port, free_port(), backend_port, routes)))
        return [*command(), "-c", path, "--concurrency", "1"]
    return make


def _envoy():
    binary = next((TOP / "build/venv").glob("lib/*/site-packages/envoy/_bin/envoy"))
    return [binary, "-l", "error", "--use-dynamic-base-id", "--disable-hot-restart"]


def _weir():
    return [TOP / "build/release/bin/weir-proxy", "-l", "error"]


PEERS = {
    "floor": floor,
    "weir-proxy": _with_bootstrap("weir", 10, _weir),
    "haproxy": haproxy,
    "nginx": nginx,
    "h2o": h2o,
    "envoy": _with_bootstrap("envoy", 10, _envoy),
    "weir-proxy 10,000 routes": _with_bootstrap("weir-10000", 10000, _weir),
    "envoy 10,000 routes": _with_bootstrap("envoy-10000", 10000, _envoy),
}
