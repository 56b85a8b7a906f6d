"""What all test files share: figures are drawn without a screen, and closed after each test."""

import sys

import matplotlib
import pytest

matplotlib.use("Agg")


@pytest.fixture(autouse=True)
def close_figures():
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


CUDA = pytest.mark.skipif("not __import__('torch').cuda.is_available()", reason="there is no GPU here")


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=CUDA)])
def device(request):
    """Every device that this machine has."""
    return request.param
