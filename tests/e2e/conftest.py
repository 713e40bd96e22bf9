"""Fixtures: a stack of real processes per test module."""

import pytest

from processes import BIN, Stack


def pytest_sessionstart(session):
    for name in ("weir-control", "weir-proxy", "demo-backend"):
        if not (BIN / name).exists():
            pytest.exit(f"{BIN / name} is missing: run make first", 3)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """What failed is told with the ends of the logs of all that ran."""
    report = (yield).get_result()
    if report.failed:
        for stack in Stack.running:
            report.sections += [(f"end of {process.log_path}", process.log()[-3000:])
                                for process in stack.processes]


@pytest.fixture(scope="module")
def stack(tmp_path_factory, request):
    """Processes for one module, stopped when it is done."""
    with Stack(tmp_path_factory.mktemp(request.module.__name__)) as stack:
        yield stack
