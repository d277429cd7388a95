"""One running line for all clients."""

import pytest

from line import Line


@pytest.fixture(scope="session")
def line(tmp_path_factory):
    with Line(tmp_path_factory.mktemp("line")) as line:
        yield line
