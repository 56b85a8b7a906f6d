"""What `find` shows first of 1,298 photographs with errors that nobody planted: figures/find-photos/.

    python scripts/find_photos.py PHOTOS        # a folder of classes, with ATTRIBUTION.txt

PHOTOS are 260 of each of five classes of TensorFlow's flower_photos (CC BY 2.0), whose labels come from a web
search. results/photo_verdicts.csv says of 245 of them what we saw. They were the first 50 of many
rankings, and were looked at in random order, without their ranks. `find` runs with its defaults; the sheet
has the first 50 of its two rankings, in turn, but for photos of people who can be recognised. first-50.csv
names the first 50 of each.
"""

import itertools
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw, ImageOps

from robust_lib import find, records

ROOT = Path(__file__).parents[1]
BUILD, FIGURES = ROOT / "build" / "find-photos", ROOT / "figures" / "find-photos"
FIRST, COLUMNS, SIDE, TEXT = 50, 10, 112, 26
COLOURS = {"wrong": "#d55e00", "doubtful": "#e69f00", "right": "#dddddd"}


def in_turn(*rankings: np.ndarray) -> list[int]:
    """The first FIRST samples, from one ranking after the other; what was there before is passed over."""
    seen = dict.fromkeys(itertools.chain.from_iterable(zip(*rankings, strict=True)))
    return list(seen)[:FIRST]


def counted(verdicts: pd.Series) -> str:
    counts = verdicts.value_counts()
    return f"{counts.get('wrong', 0)} wrong, {counts.get('doubtful', 0)} doubtful"


def sheet(photos: Path, table: pd.DataFrame) -> Image.Image:
    """A tile for each row: a frame by the verdict, the place and the label."""
    height = SIDE + TEXT
    page = Image.new("RGB", (COLUMNS * SIDE, -(-len(table) // COLUMNS) * height), "white")
    draw = ImageDraw.Draw(page)
    for place, row in enumerate(table.itertuples()):
        x, y = place % COLUMNS * SIDE, place // COLUMNS * height
        inner = (SIDE - 10, SIDE - 10)
        tile = Image.new("RGB", inner, "white")
        if row.people != "yes":
            tile = ImageOps.pad(Image.open(photos / row.path).convert("RGB"), inner, color="white")
        draw.rectangle((x + 1, y + 1, x + SIDE - 3, y + SIDE - 3), COLOURS[row.verdict])
        page.paste(tile, (x + 4, y + 4))
        if row.people == "yes":
            draw.text((x + 14, y + SIDE // 2 - 8), "people:\nnot shown", "black")
        draw.text((x + 2, y + SIDE - 1), f"{place + 1} {row.given}\n{row.verdict}", "black")
    return page


def credits(photos: Path, table: pd.DataFrame) -> str:
    """The photographers of what is shown, as flower_photos names them."""
    lines = (photos / "ATTRIBUTION.txt").read_text(encoding="utf-8").splitlines()
    known = {line.split(" ", 1)[0]: line.split(" ", 1)[1] for line in lines if ".jpg " in line}
    shown = [f"- {row.path}: {known[row.path]}" for row in table.itertuples() if row.people != "yes"]
    licence = "https://creativecommons.org/licenses/by/2.0/"
    return (
        f"Credits of the photos in first-50.png\n\nAll are licensed under CC BY 2.0 ({licence}). They were "
        "made smaller, and framed.\n\n" + "\n".join(shown) + "\n"
    )


def main(photos: Path) -> None:
    found = find.find(photos, BUILD, device="cpu")
    verdicts = pd.read_csv(records.RESULTS / "photo_verdicts.csv", index_col="path", keep_default_na=False)
    lists = {
        "wrong class": found.ranking,
        "no class here": found.neighbours.ranking,
        "in turn": in_turn(found.ranking, found.neighbours.ranking),
    }
    first = {name: [found.data.paths[n] for n in ranking[:FIRST]] for name, ranking in lists.items()}
    seen = pd.concat({name: verdicts.reindex(paths) for name, paths in first.items()}, names=["list"])
    for name in lists:
        print(f"first {FIRST}, {name}: {counted(seen.loc[name, 'verdict'])}")
    FIGURES.mkdir(exist_ok=True)
    seen["verdict"].to_csv(FIGURES / f"first-{FIRST}.csv")
    table = seen.loc["in turn"].reset_index()
    table["given"] = table["path"].str.partition("/")[0]
    sheet(photos, table).quantize(256).save(FIGURES / "first-50.png", optimize=True)
    (FIGURES / "CREDITS.txt").write_text(credits(photos, table), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
