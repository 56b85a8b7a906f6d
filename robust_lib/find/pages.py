"""What `find` writes: the ranked CSVs, the noise matrix, and a page to look at the finds, offline."""

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
MOST_OTHERS = 1_000  # more of them, with which the page's other lists begin
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
    beside = {"outliers": found.outliers, "duplicates": found.duplicates}
    if len(found.neighbours.distance):
        tables |= beside
    for name in beside.keys() - tables:  # of an earlier run, with features, into the same folder
        (out / f"{name}.csv").unlink(missing_ok=True)
    for name, table in tables.items():
        digits = "%.4f" if name == "noise_matrix" else "%.6g"
        text = table.to_csv(index=False, float_format=digits, lineterminator="\n")
        records.atomically(out / f"{name}.csv", text)
    for kind, picture in _matrix_figure(counts, data.classes).items():
        records.atomically(out / f"noise_matrix.{kind}", picture)
    _write_thumbnails(data, _pictured(found), out / "thumbs")
    page = json.dumps(_page(found, pairs), ensure_ascii=True, separators=(",", ":"))
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


def _pictured(found) -> np.ndarray:
    """The positions of the samples that get a thumbnail, in the order of the sheets."""
    if found.data.files is None and found.data.pixels is None:
        return np.empty(0, dtype=np.int64)
    first, places = found.ranking[:MOST_THUMBNAILS], found.neighbours
    others = np.concatenate([places.ranking[:MOST_OTHERS], places.pairs.ravel()[:MOST_OTHERS]])
    return np.concatenate([first, np.setdiff1d(others, first)])


def _write_thumbnails(data: OwnData, ranking: np.ndarray, folder: Path) -> None:
    """Sheets of thumbnails of these positions, in their order, 0000.jpg and so on."""
    from PIL import Image, ImageOps
    from tqdm import tqdm

    if not len(ranking):
        return
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


def _page(found, pairs) -> dict:
    """The data of index.html, from the most suspicious sample to the least; `lists` point into this order."""
    data, order, pictured = found.data, found.ranking, _pictured(found)
    rank = np.argsort(order)
    beyond = {int(rank[n]): place for place, n in enumerate(pictured) if place >= MOST_THUMBNAILS}
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
        "thumbnails": min(len(pictured), MOST_THUMBNAILS),
        "beyond": beyond,
        "lists": _lists(found, rank),
        "base": base,
        "links": links,
    }


def _lists(found, rank: np.ndarray) -> list[dict]:
    """The page's other lists: what it says of each, its samples by their rank, and a caption for each."""
    places = found.neighbours
    if not len(places.distance):
        return []
    far, captions = places.ranking, []
    for number, differ in enumerate(found.duplicates.conflict, start=1):
        captions += [f"pair {number:,}" + (": labels differ" if differ else "")] * 2
    return [
        {
            "name": "no class here",
            "about": "Far from all others, by the mean distance to the nearest: does it belong here?",
            "order": rank[far].tolist(),
            "captions": [f"distance {value:.2f}, 1 is typical" for value in places.distance[far]],
        },
        {
            "name": "near duplicates",
            "about": "In pairs, those with different labels first: one of the two may have to go.",
            "order": rank[places.pairs.ravel()].tolist(),
            "captions": captions,
        },
    ]


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
