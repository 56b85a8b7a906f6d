"""What all test files share: figures are drawn without a screen, and closed after each test."""

import shutil
import sys
from pathlib import Path

import matplotlib
import pytest

matplotlib.use("Agg")
SMALL = "test_resnet"  # timm's network for tests, 0.5 M parameters; 32 pixels are enough for it


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


@pytest.fixture(scope="session")
def weights(tmp_path_factory):
    """A file with SMALL's weights, drawn at random."""
    import timm
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    file = tmp_path_factory.mktemp("weights") / "small.safetensors"
    save_file(timm.create_model(SMALL).state_dict(), file)
    return file


@pytest.fixture(scope="module")
def browser():
    """Chromium, Debian's or playwright's own. It ends with its file of tests: while it is there, its event
    loop runs, and no other test may start one."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed here")
    with api.sync_playwright() as playwright:
        here = (shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome"))
        path = next(filter(None, here), playwright.chromium.executable_path)
        if not Path(path).exists():
            pytest.skip("there is no Chromium here (on Debian: apt-get install chromium)")
        started = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield started
        started.close()
