"""What `find` writes: the ranked CSV, the noise matrix, and a page to look at the finds, offline."""

import io
import json
import os
from pathlib import Path
from urllib.parse import quote

import numpy as np

from robust_lib import records
from robust_lib.find.listing import Problem
from robust_lib.find.reading import OwnData

TEMPLATE = Path(__file__).with_name("page.html")
TILE, COLUMNS, PER_SHEET = 96, 8, 48  # a sheet of thumbnails holds a page of the unfiltered ranking
MOST_THUMBNAILS = 20_000  # of the most suspicious; about 3 kB each
MOST_PROBLEMS = 500  # on the page; the CSV has all
FONT = "DejaVu Sans"  # matplotlib brings it
MOST_NAMES = 40  # classes up to which the figure writes their names, and half of it the counts


def rehearse(classes) -> None:
    """Draws the figure with these classes and no counts: what cannot be drawn is to fail before training."""
    _matrix_figure(np.zeros((len(classes),) * 2, dtype=np.int64), classes)


def write(found) -> None:
    """Everything in found.out but run.json and parts/."""
    import pandas as pd

    data, out, counts = found.data, found.out, found.noise_matrix
    pairs = _pairs(counts)
    problems = pd.DataFrame(data.problems, columns=Problem._fields)
    tables = {"ranked": found.table, "problems": problems, "noise_matrix": _named(pairs, data.classes)}
    for name, table in tables.items():
        digits = "%.4f" if name == "noise_matrix" else "%.6g"
        text = table.to_csv(index=False, float_format=digits, lineterminator="\n")
        records.atomically(out / f"{name}.csv", text)
    for kind, picture in _matrix_figure(counts, data.classes).items():
        records.atomically(out / f"noise_matrix.{kind}", picture)
    thumbnails = _write_thumbnails(data, found.ranking[:MOST_THUMBNAILS], out / "thumbs")
    page = json.dumps(_page(found, pairs, thumbnails), ensure_ascii=True, separators=(",", ":"))
    template = TEMPLATE.read_text(encoding="utf-8")
    records.atomically(out / "index.html", template.replace("{{data}}", page.replace("<", "\\u003c")))


def _pairs(counts: np.ndarray):
    """A DataFrame with one row per pair of classes that occurs, by their numbers."""
    import pandas as pd

    given, suggested = np.nonzero(counts)
    return pd.DataFrame({"given": given, "suggested": suggested, "count": counts[given, suggested]})


def _named(pairs, classes):
    """The pairs with the names of their classes, and each as a share of its row and its column."""
    names, named = np.array(classes, dtype=object), pairs.copy()
    for side in ("given", "suggested"):
        named[side] = names[pairs[side]]
        named[f"share_of_{side}"] = pairs["count"] / pairs.groupby(side)["count"].transform("sum")
    return named


def _matrix_figure(counts: np.ndarray, classes) -> dict[str, bytes]:
    """Heat map of each row's shares, the diagonal white, as PNG and SVG; the same run, the same bytes.

    Names are plain text ($ is a dollar); one whose characters the font lacks is drawn as in `_tick`.
    """
    import matplotlib

    plain = {"text.parse_math": False, "text.usetex": False, "font.family": FONT}  # whatever the reader's are
    pictures = {}
    with matplotlib.rc_context({"svg.hashsalt": "robust-losses-course"} | plain):
        figure = _draw_matrix(counts, classes)
        for kind, metadata in (("png", {"Software": None}), ("svg", {"Date": None})):
            buffer = io.BytesIO()
            figure.savefig(buffer, format=kind, dpi=100, metadata=metadata)
            pictures[kind] = buffer.getvalue()
    return pictures


def _tick(k: int, name: str) -> str:
    """A class as the figure writes it: its name, shortened, or #k where the font lacks a character of it."""
    from matplotlib import font_manager

    known = font_manager.get_font(font_manager.findfont(FONT)).get_charmap()
    if not all(ord(character) in known for character in name):
        return f"#{k}"
    return name if len(name) <= 18 else name[:17] + "…"


def _draw_matrix(counts: np.ndarray, classes):
    from matplotlib.figure import Figure

    share = 100 * counts / counts.sum(1, keepdims=True).clip(1)
    k = len(classes)
    side = max(3.4, 0.42 * k + 1.6) if k <= MOST_NAMES // 2 else 10 if k <= MOST_NAMES else 6
    figure = Figure(figsize=(side + 1, side), layout="constrained")
    axes = figure.subplots()
    off = np.ma.masked_where(np.eye(k, dtype=bool), share)
    bar = figure.colorbar(axes.imshow(off, cmap="cividis", vmin=0, vmax=max(off.max(), 1)), shrink=0.8)
    bar.set_label("% of the samples with that given label")
    axes.set(xlabel="suggested label", ylabel="given label")
    axes.set_title("flagged samples, and their share of the row")
    if k <= MOST_NAMES:
        names = [_tick(k, name) for k, name in enumerate(classes)]
        axes.set_xticks(range(k), names, rotation=90)
        axes.set_yticks(range(k), names)
    if k <= MOST_NAMES // 2:
        for i, j in zip(*np.nonzero(counts * (1 - np.eye(k, dtype=int))), strict=True):
            colour = "white" if share[i, j] < 0.5 * off.max() else "black"
            axes.text(j, i, counts[i, j], ha="center", va="center", fontsize=8, color=colour)
    return figure


def _write_thumbnails(data: OwnData, ranking: np.ndarray, folder: Path) -> int:
    """Sheets of thumbnails in the order of the ranking, 0000.jpg and so on; how many there are."""
    from PIL import Image, ImageOps
    from tqdm import tqdm

    if data.files is None and data.pixels is None:
        return 0
    folder.mkdir(exist_ok=True)
    starts = range(0, len(ranking), PER_SHEET)
    for start in tqdm(starts, desc="thumbnails", unit="sheet", disable=None):
        members = ranking[start : start + PER_SHEET]
        sheet = Image.new("RGB", (TILE * COLUMNS, TILE * -(-len(members) // COLUMNS)), "#f4f4f4")
        for place, position in enumerate(members):
            try:
                small = ImageOps.contain(data.picture(position, TILE), (TILE, TILE))
            except Exception:  # not opened before if there are features; decoders raise whatever they like
                continue
            left, top = (TILE * place for place in (place % COLUMNS, place // COLUMNS))
            sheet.paste(small, (left + (TILE - small.width) // 2, top + (TILE - small.height) // 2))
        buffer = io.BytesIO()
        sheet.save(buffer, "JPEG", quality=85)
        records.atomically(folder / f"{start // PER_SHEET:04}.jpg", buffer.getvalue())
    for old in sorted(folder.glob("*.jpg"))[len(starts) :]:  # of a larger run into the same folder
        old.unlink()
    return len(ranking)


def _page(found, pairs, thumbnails: int) -> dict:
    """The data of index.html; its lists run from the most suspicious sample to the least."""
    data, order = found.data, found.ranking
    confusions = pairs[pairs.given != pairs.suggested]
    marks = [_tick(k, name) for k, name in enumerate(data.classes)]
    base, links = _links(data, found.out, order)
    return {
        "title": f"Labels to look at: {data.source.name}",
        "summary": found.summary,
        "matrix": f"Heat map of {found.flagged.sum():,} flagged samples, given label by suggested label; its "
        "numbers are in noise_matrix.csv.",
        "legend": [[mark, data.classes[k]] for k, mark in enumerate(marks) if mark == f"#{k}"],
        "confusions": confusions.nlargest(12, "count").to_numpy().tolist(),
        "problems": data.problems[:MOST_PROBLEMS],
        "problem_count": len(data.problems),
        "classes": data.classes,
        "paths": [data.paths[n] for n in order],
        "given": data.labels[order].tolist(),
        "suggested": found.suggested[order].tolist(),
        "flagged": found.flagged[order].astype(int).tolist(),
        "scores": {name: _rounded(one.score[order]) for name, one in found.detections.items()},
        "tile": TILE,
        "columns": COLUMNS,
        "per_sheet": PER_SHEET,
        "thumbnails": thumbnails,
        "base": base,
        "links": links,
    }


def _rounded(scores: np.ndarray) -> list[float | None]:
    return [round(float(score), 3) if np.isfinite(score) else None for score in scores]


def _links(data: OwnData, out: Path, order: np.ndarray) -> tuple[str | None, dict[int, str]]:
    """Where the page finds the originals: base + path, but for the ranks in the dict; "" is nowhere."""
    if data.files is None:
        return None, {}
    here, root = out.resolve(), data.root
    base = quote(os.fsencode(os.path.relpath(root.resolve(), here))) + "/"
    links = {}
    for rank, n in enumerate(order.tolist()):
        file = data.files[n]
        link = "" if file is None else base + quote(os.fsencode(os.path.relpath(file, root)))
        if link != base + quote(data.paths[n], safe="/!~*'()"):
            links[rank] = link
    return base, links
