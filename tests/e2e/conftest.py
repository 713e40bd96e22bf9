"""Fixtures: a stack of real processes per test module."""

import pytest

from processes import BIN, Stack


def pytest_sessionstart(session):
    for name in ("weir-control", "weir-proxy", "demo-backend"):
        if not (BIN / name).exists():
            pytest.exit(f"{BIN / name} is missing: run make first", 3)


@pytest.fixture(scope="module")
def stack(tmp_path_factory, request):
    """Processes for one module, stopped when it is done."""
    with Stack(tmp_path_factory.mktemp(request.module.__name__)) as stack:
        yield stack
