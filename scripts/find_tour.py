"""A tour of `find`: 2,000 photos, a tenth mislabelled on purpose, decided in a browser by a scripted reader.

    python scripts/find_tour.py                     # three seeds: results/find-tour.jsonl, figures/find-tour/

The reader goes down the page's first list. It knows the true class and errs in one case of twenty: then it
keeps a wrong label, or takes the suggestion (or is unsure) where the label is right. It stops after a page on
which it changed at most one label. Then `mend` writes the corrected folder, and linear heads are trained on
the labels before and after. It needs playwright and Chromium, and goes on where it was stopped, seed by seed.
"""

import contextlib
import io
import shutil
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

from robust_lib import data, find, losses, records, training
from robust_lib.data import noise
from robust_lib.training import models

IMAGES, RATE, MISTAKES, SEEDS, HEADS = 2000, 0.1, 0.05, 3, 5
LOOK, TYPE = 2.0, 5.0  # seconds a reader takes, assumed: for a key, and where a class is typed
PER_PAGE = 48
FILE = records.RESULTS / "find-tour.jsonl"
ROOT = Path(__file__).parents[1]
BUILD, SHOTS = ROOT / "build" / "find-tour", ROOT / "figures" / "find-tour"


def folder(seed: int) -> tuple[Path, torch.Tensor, torch.Tensor]:
    """The photos in a folder by given label; true and given labels. A photo's name is its number."""
    images = data.load("cifar10", "train", size="mini")
    given = noise.corrupt(images.labels[:IMAGES], noise.uniform(10, RATE), seed).labels
    root = BUILD / f"photos-{seed}"
    shutil.rmtree(root, ignore_errors=True)
    for n in range(IMAGES):
        file = root / images.classes[given[n]] / f"{n:04}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(images.images[n].permute(1, 2, 0).numpy()).save(file)
    return root, images.labels[:IMAGES], given


def choose(given, suggested, true, errs: bool) -> str:
    """The key that the reader presses for one label."""
    if errs:
        return "k" if true != given else "s" if suggested != given else "u"
    return "k" if true == given else "s" if true == suggested else "c"


class Reader:
    """Decides on the samples of a page one by one, by keys."""

    def __init__(self, page, truth: torch.Tensor, classes: list[str], seed: int):
        self.page, self.truth, self.classes = page, truth, classes
        self.draw = np.random.default_rng(seed)
        self.looked, self.found, self.seconds = 0, [], 0.0

    def decide(self) -> None:
        n, given, suggested = self.page.evaluate(
            "(n => [Number(data.paths[n].match(/(\\d+)\\.png$/)[1]), data.classes[data.given[n]], "
            "data.classes[data.suggested[n]]])(lists[list].order[rows[current]])"
        )
        true, errs = self.classes[self.truth[n]], self.draw.random() < MISTAKES
        key = choose(given, suggested, true, errs)
        self.page.keyboard.press(key)
        if key == "c":
            self.page.keyboard.type(true)
            self.page.keyboard.press("Enter")
        self.looked += 1
        self.found.append(true != given and not errs)
        self.seconds += TYPE if key == "c" else LOOK

    def read_page(self) -> int:
        """How many labels it changed."""
        before = self.changed
        for _ in range(PER_PAGE):
            self.decide()
        return self.changed - before

    @property
    def changed(self) -> int:
        words = self.page.evaluate("[...decisions.values()].map(([word]) => word)")
        return sum(word in ("suggestion", "class") for word in words)


@contextlib.contextmanager
def opened(out: Path):
    """The page of a run, in a browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = shutil.which("chromium") or playwright.chromium.executable_path
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1180, "height": 860})
        page.goto((out / "index.html").as_uri())
        yield page
        browser.close()


def read(out: Path, truth: torch.Tensor, classes: list[str], seed: int, shot) -> tuple[Reader, Path]:
    """A reader after its work, and the file of its decisions."""
    with opened(out) as page:
        shot(page, "1-first-look")
        page.locator("#lists").scroll_into_view_if_needed()
        reader = Reader(page, truth, classes, seed)
        for _ in range(8):
            reader.decide()
        shot(page, "2-decided-by-keys")
        page.keyboard.press("c")
        page.keyboard.type("au")
        shot(page, "3-another-class")
        page.keyboard.press("Escape")
        for _ in range(PER_PAGE - 8):
            reader.decide()
        while reader.read_page() > 1:
            pass
        shot(page, "4-where-the-reader-stops")
        page.select_option("#decision", "class")
        shot(page, "5-filter-another-class")
        with page.expect_download() as caught:
            page.click("#save")
        file = BUILD / f"decisions-{seed}.csv"
        caught.value.save_as(file)
    return reader, file


def look_again(out: Path, shot) -> None:
    with opened(out) as page:
        shot(page, "6-after-mend")


def features() -> tuple[torch.Tensor, torch.Tensor]:
    """What the default backbone sees of the training and the test photos, centred by the former."""
    file = BUILD / "features.pt"
    if not file.exists():
        sets = [data.load("cifar10", split, size="mini") for split in ("train", "test")]
        torch.save([data.extract(one.images[:IMAGES], data.BACKBONE, progress=False) for one in sets], file)
    train, test = (F.normalize(seen.float()) for seen in torch.load(file))
    centre, scale = train.mean(0), (train - train.mean(0)).square().mean().sqrt()
    return (train - centre) / scale, (test - centre) / scale


def accuracies(labels: torch.Tensor, kept: torch.Tensor) -> list[float]:
    """On the test photos, of HEADS linear heads trained with cross entropy on the kept ones."""
    train, test = features()
    truth, result = data.load("cifar10", "test", size="mini").labels[: len(test)], []
    for seed in range(HEADS):
        model = models.build("linear", train, 10, seed)
        recipe = training.RECIPES["features"]
        given = (train[kept], labels[kept], losses.ce(), recipe)
        fit = training.fit(model, *given, seed=seed, device="cpu", progress=False)
        predicted = training.predict(fit.model, test).argmax(1)
        result.append(float((predicted == truth).double().mean()))
    return result


def mended(root: Path, classes: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
    """Labels by number in a mended folder, and which photos are there."""
    labels, kept = torch.zeros(IMAGES, dtype=torch.int64), torch.zeros(IMAGES, dtype=torch.bool)
    for file in root.glob("*/*.png"):
        labels[int(file.stem)], kept[int(file.stem)] = classes.index(file.parent.name), True
    return labels, kept


def measure(seed: int) -> dict:
    root, truth, given = folder(seed)
    classes = list(data.load("cifar10", "train", size="mini").classes)
    out = BUILD / f"find-{seed}"
    shutil.rmtree(out, ignore_errors=True)

    def shot(page, name: str) -> None:
        if seed == 0:
            SHOTS.mkdir(exist_ok=True)
            picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
            picture.quantize(256).save(SHOTS / f"{name}.png", optimize=True)

    start = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        found = find.find(root, out, device="cpu", progress=False)
    searched = time.perf_counter() - start
    reader, file = read(out, truth, classes, seed, shot)
    told = find.mend(out, file, folder="links")
    labels, kept = mended(told.out, classes)
    if seed == 0:
        with contextlib.redirect_stdout(io.StringIO()):
            find.find(told.out, BUILD / "find-again", device="cpu", progress=False)
        look_again(BUILD / "find-again", shot)
    hits = np.array(reader.found)
    every = torch.ones(IMAGES, dtype=torch.bool)
    return {
        "samples": IMAGES,
        "planted": int((truth != given).sum()),
        "flagged": int(found.flagged.sum()),
        "looked": reader.looked,
        "errors_found": int(hits.sum()),
        "found_by_hundreds": [int(part.sum()) for part in np.split(hits, range(100, len(hits), 100))],
        "errors_after": int((labels != truth)[kept].sum()),
        "changed": told.changed,
        "dropped": told.dropped,
        "minutes_of_find": searched / 60,
        "minutes_of_reading": reader.seconds / 60,
        "accuracy_before": accuracies(given, every),
        "accuracy_after": accuracies(labels, kept),
        "accuracy_of_true_labels": accuracies(truth, every),
    }


def main() -> None:
    torch.set_num_threads(1)
    BUILD.mkdir(parents=True, exist_ok=True)
    runs = {f"cifar10 uniform {RATE} {seed}": {"seed": seed} for seed in range(SEEDS)}
    records.fill(FILE, runs, lambda run: measure(**run))


if __name__ == "__main__":
    main()
