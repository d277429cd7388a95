"""One line and one browser for all tests of the console."""

import pytest
from browser import Browser
from stage import Stage


@pytest.fixture(scope="session")
def stage(tmp_path_factory):
    with Stage(tmp_path_factory.mktemp("stage")) as stage:
        yield stage


@pytest.fixture
def browser(tmp_path):
    browser = Browser(tmp_path)
    yield browser
    browser.close()
