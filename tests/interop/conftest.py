import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from support.processes import Atoll  # noqa: E402


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A test that fails shows what the processes of its fixtures wrote."""
    report = (yield).get_result()
    if report.failed:
        for name, value in getattr(item, "funcargs", {}).items():
            if hasattr(value, "output"):
                report.sections.append((f"output of {name}", value.output()[-8000:]))


@pytest.fixture(scope="session")
def demo(tmp_path_factory):
    """The demo: hub, portal and three nodes in one process."""
    data = tmp_path_factory.mktemp("demo")
    atoll = Atoll(data, "--demo")
    atoll.data = data
    yield atoll
    atoll.stop()
