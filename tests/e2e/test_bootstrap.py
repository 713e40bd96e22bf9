"""weir-proxy from an Envoy bootstrap file: the same file serves stock Envoy, and flags behave as Envoy's."""

import subprocess

import pytest

from processes import BIN, Process, free_port, http_get, wait_until
from raw_http import fetch

BOOTSTRAP = """
node: {{id: static, cluster: static}}
admin: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {admin}}}}}}}
static_resources:
  listeners:
  - name: http
    address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: http
          access_log:
          - name: file
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog
              path: {log}
              log_format:
                text_format_source: {{inline_string: "%REQ(:METHOD)% %REQ(:PATH)% %RESPONSE_CODE% %RESPONSE_CODE_DETAILS% %BYTES_SENT%\\n"}}
          route_config:
            name: local
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - match: {{prefix: /direct}}
                direct_response: {{status: 200, body: {{inline_string: made here}}}}
              - match: {{prefix: /}}
                route: {{cluster: backend, timeout: 5s}}
          http_filters:
          - name: envoy.filters.http.router
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
  clusters:
  - name: backend
    type: STATIC
    connect_timeout: 1s
    load_assignment:
      cluster_name: backend
      endpoints:
      - lb_endpoints:
        - endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {backend}}}}}}}
"""
GROUND = dict(admin=1, port=2, backend=3, log="/dev/null")


def run(*arguments):
    return subprocess.run([BIN / "weir-proxy", *map(str, arguments)], capture_output=True, text=True,
                          timeout=60)


def test_a_static_bootstrap_is_served_and_logged(stack, tmp_path):
    backend, port, admin = stack.backend("static"), free_port(), free_port()
    path, log = tmp_path / "envoy.yaml", tmp_path / "access.log"
    path.write_text(BOOTSTRAP.format(admin=admin, port=port, backend=backend.port, log=log))
    stack.add(Process("static-proxy", tmp_path, [
        BIN / "weir-proxy", "--config-path", path, "--service-node", "n1", "--service-cluster", "c1",
        "--concurrency", "1", "--log-level", "info"])).start()
    wait_until(lambda: http_get(admin, "/ready")[0] == 200, "ready")
    assert fetch(port, "/direct").body == b"made here"
    assert fetch(port, "/x").json()["backend"] == "static"
    wait_until(lambda: log.exists() and len(log.read_text().splitlines()) == 2, "two log lines")
    assert log.read_text().splitlines()[0] == "GET /direct 200 direct_response 9"
    assert log.read_text().splitlines()[1].startswith("GET /x 200 via_upstream ")


def test_validate_accepts_what_it_can_run(tmp_path):
    path = tmp_path / "good.yaml"
    path.write_text(BOOTSTRAP.format(**GROUND))
    result = run("--mode", "validate", "--config-path", path)
    assert result.returncode == 0, result.stderr
    assert "OK" in result.stdout


@pytest.mark.parametrize("change,says", [
    (("prefix: /direct", "prefixx: /direct"), "prefixx"),
    (("cluster: backend, timeout", "cluster: backend, retry_policyy: {}, timeout"), "retry_policyy"),
    (("type: STATIC", "type: ORIGINAL_DST"), "cluster backend: type: not supported"),
    (("filters.http.router.v3.Router", "filters.http.lua.v3.Lua"), "lua"),
    (("port_value: 3", "port_value: 70000"), "port_value: must be a number up to 65535"),
    (("timeout: 5s", "timeout: soon"), "soon"),
    (("%RESPONSE_CODE%", "%NO_SUCH_THING%"), "NO_SUCH_THING"),
    (("static_resources:", "static_resources: ["), "line"),
], ids=lambda value: value if isinstance(value, str) else "")
def test_validate_names_what_is_wrong(tmp_path, change, says):
    path = tmp_path / "bad.yaml"
    text = BOOTSTRAP.format(**GROUND)
    assert change[0] in text
    path.write_text(text.replace(*change))
    result = run("--mode", "validate", "--config-path", path)
    assert result.returncode == 1
    assert says in result.stderr + result.stdout, result.stderr


@pytest.mark.parametrize("arguments", [["--no-such-flag"], ["--concurrency", "many"],
                                       ["--log-level", "loud", "--control", "127.0.0.1:1"], []])
def test_wrong_flags_are_told_apart_from_wrong_configurations(arguments):
    result = run(*arguments)
    assert result.returncode == 2
    assert result.stderr.strip() and "Traceback" not in result.stderr


def test_a_missing_file_is_named():
    result = run("--config-path", "/nowhere/envoy.yaml")
    assert result.returncode == 1 and "/nowhere/envoy.yaml" in result.stderr
