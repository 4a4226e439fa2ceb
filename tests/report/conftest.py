"""Fixtures of the report's tests."""

from __future__ import annotations

import pytest
from made_up_run import make_view

from kernelwright.report.view import RunView


@pytest.fixture
def view() -> RunView:
    return make_view()
