"""What every notebook begins with: the profile, the environment report, and the one way to show a figure."""

import base64
import json
import os
import time
from pathlib import Path

import torch

from robust_lib import records

PROFILES = {
    # One thread: numbers depend little on the machine, and the small network gains only a fifth from two.
    "quick": {"size": "mini", "device": "cpu", "threads": 1},
    "full": {"size": "full", "device": "auto", "threads": None},
}
PACKAGES = ("torch", "numpy", "matplotlib", "cleanlab")


class Chapter:
    """One run of one notebook.

    profile: "quick" or "full". Prints the environment report; size, device and quick say what the profile
    means. Raises ValueError for an unknown profile.
    """

    def __init__(self, profile: str, seed: int = 0):
        if profile not in PROFILES:
            raise ValueError(f"profile must be one of {', '.join(PROFILES)}, got {profile!r}")
        settings = PROFILES[profile]
        self.profile, self.seed, self.size = profile, seed, settings["size"]
        if settings["threads"]:
            torch.set_num_threads(settings["threads"])
        cuda = settings["device"] == "auto" and torch.cuda.is_available()
        self.device = "cuda" if cuda else "cpu"
        self._started = time.perf_counter()
        packages = ", ".join(f"{name} {number}" for name, number in records.versions(PACKAGES).items())
        print(f"profile {profile}, device {self.device}, {torch.get_num_threads()} threads; {packages}")

    @property
    def quick(self) -> bool:
        return self.profile == "quick"

    def show(self, fig, name: str, alt: str) -> None:
        """Display the figure as a PNG whose text form is `alt`, and close it.

        Where the runner names a folder in $ROBUST_FIGURES, also write name.png, name.svg and a sidecar
        name.json (what was run, where, how long). Same run, same picture bytes.
        """
        import matplotlib.pyplot as plt
        from IPython.display import display

        from robust_lib.figures import rendered

        if len(alt) < 20:
            raise ValueError(f"alt must describe the figure in words, got {alt!r}")
        picture = rendered(fig, "png")
        bundle = {"image/png": base64.b64encode(picture).decode(), "text/plain": alt}
        display(bundle, raw=True)
        if os.environ.get("ROBUST_FIGURES"):
            folder = Path(os.environ["ROBUST_FIGURES"])
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{name}.png").write_bytes(picture)
            (folder / f"{name}.svg").write_bytes(rendered(fig, "svg"))
            (folder / f"{name}.json").write_text(json.dumps(self._provenance(alt), indent=1) + "\n")
        plt.close(fig)

    def slider(self, draw, **ranges: tuple[float, float, float]) -> None:
        """An interactive figure: draw(**values) -> Figure, redrawn as sliders (start, low, high) move.

        The headless runner stores no widgets, so there the cell only says where to run it.
        """
        if os.environ.get("ROBUST_HEADLESS"):
            print("sliders: run this cell in Jupyter")
            return
        import ipywidgets
        import matplotlib.pyplot as plt
        from IPython.display import display

        def redraw(**values):
            fig = draw(**values)
            display(fig)
            plt.close(fig)

        sliders = {
            name: ipywidgets.FloatSlider(value=start, min=low, max=high, step=(high - low) / 100)
            for name, (start, low, high) in ranges.items()
        }
        ipywidgets.interact(redraw, **sliders)

    def _provenance(self, alt: str) -> dict:
        seconds = round(time.perf_counter() - self._started, 1)
        about = records.provenance(torch.device(self.device))
        run = {"profile": self.profile, "seed": self.seed, "device": about["device"]}
        code = {name: about[name] for name in ("commit", "python")}
        return {"alt": alt} | run | {"seconds_into_run": seconds} | code | records.versions(PACKAGES)
