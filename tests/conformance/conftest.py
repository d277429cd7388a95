"""One running line for all clients."""

import pytest

from line import Line


@pytest.fixture(scope="session")
def line(tmp_path_factory):
    line = Line(tmp_path_factory.mktemp("line"))
    try:
        line.start()
        yield line
    finally:
        line.stop()
