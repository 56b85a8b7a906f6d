"""What `find` writes: the ranked CSVs, the noise matrix, and a page to look at the finds, offline."""

import base64
import hashlib
import io
import json
import os
import re
from pathlib import Path
from urllib.parse import quote

import numpy as np

from robust_lib import records
from robust_lib.find.cells import defused
from robust_lib.find.listing import Problem
from robust_lib.find.reading import OwnData

HERE = Path(__file__).parent
SCRIPTS = ("decide.js", "page.js")
# Whatever names and paths hold, nothing but our own scripts is run, and nothing but pictures is loaded.
POLICY = "default-src 'none'; img-src 'self' file: data:; style-src {}; script-src {}; base-uri 'none'"
TILE, COLUMNS, PER_SHEET = 96, 8, 48  # a sheet of thumbnails holds a page of the unfiltered ranking
MOST_THUMBNAILS = 20_000  # of the most suspicious; about 3 kB each
MOST_OTHERS = 1_000  # more of them, with which the page's other lists begin
NO_LINK = {".pdf", ".eps", ".ps"}  # kinds of pictures that hold programs
MOST_TEXT = 600  # characters of a text on the page; the CSV has all
CURVE = ["first", "expected", "low", "high"]
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
        texts = {k: table[k].map(defused) for k in table if pd.api.types.is_string_dtype(table[k])}
        text = table.assign(**texts).to_csv(index=False, float_format=digits, lineterminator="\n")
        records.atomically(out / f"{name}.csv", text)
    for kind, picture in _matrix_figure(counts, data.classes).items():
        records.atomically(out / f"noise_matrix.{kind}", picture)
    _write_thumbnails(data, _pictured(found), out / "thumbs")
    records.atomically(out / "index.html", _html(_page(found, pairs)))


def _html(data: dict) -> str:
    """One page with its style, its scripts and its data inside."""
    parts = {name: (HERE / name).read_text(encoding="utf-8") for name in ("page.css", *SCRIPTS)}
    style, *scripts = (f"'sha256-{_sha256(text)}'" for text in parts.values())
    parts["policy"] = POLICY.format(style, " ".join(scripts))
    text = json.dumps(data, ensure_ascii=True, separators=(",", ":"))
    parts["data"] = text.replace("<", "\\u003c")
    template = (HERE / "page.html").read_text(encoding="utf-8")
    return re.sub(r"\{\{([\w.]+)\}\}", lambda found: parts[found[1]], template)


def _sha256(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


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


def _shown(found) -> np.ndarray:
    """The ranking without what was decided before, which lies at its end."""
    return found.ranking[: (~found.data.decided).sum()]


def _pictured(found) -> np.ndarray:
    """The positions of the samples that get a thumbnail, in the order of the sheets."""
    if found.data.files is None and found.data.pixels is None:
        return np.empty(0, dtype=np.int64)
    first = _shown(found)[:MOST_THUMBNAILS]
    others = np.concatenate([found.outlying[:MOST_OTHERS], found.twins[0].ravel()[:MOST_OTHERS]])
    others = others[~found.data.decided[others]]
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
    data, order, pictured = found.data, _shown(found), _pictured(found)
    rank = np.full(len(data.labels), -1)
    rank[order] = np.arange(len(order))
    beyond = {int(rank[n]): place for place, n in enumerate(pictured) if place >= MOST_THUMBNAILS}
    confusions = pairs[pairs.given != pairs.suggested]
    marks = [_tick(k, name) for k, name in enumerate(data.classes)]
    base, links = _links(data, found.out, order)
    return {
        "key": found.key,
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
        "index": data.index[order].tolist(),
        "given": data.labels[order].tolist(),
        "suggested": found.suggested[order].tolist(),
        "flagged": found.flagged[order].astype(int).tolist(),
        "by": {name: one.flagged[order].astype(int).tolist() for name, one in found.detections.items()},
        "scores": {name: _rounded(scores[order]) for name, scores in _scores(found).items()},
        "texts": data.texts and [_short(data.texts[n]) for n in order],
        "expected": [] if found.expected is None else found.expected[CURVE].round(1).to_numpy().tolist(),
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
    if not len(found.neighbours.distance):
        return []
    far, pairs = found.outlying, rank[found.twins[0]]
    captions = []
    for number, differ in enumerate(found.duplicates.conflict, start=1):
        captions += [f"pair {number:,}" + (": labels differ" if differ else "")] * 2
    for n in np.flatnonzero(pairs.ravel() < 0).tolist():
        captions[n ^ 1] += "; the other was decided before"
    return [
        {
            "id": "outliers",
            "name": "no class here",
            "about": "Far from all others, by the mean distance to the nearest: does it belong here?",
            "order": rank[far].tolist(),
            "captions": [f"distance {value:.2f}, 1 is typical" for value in found.neighbours.distance[far]],
        },
        {
            "id": "duplicates",
            "name": "near duplicates",
            "about": "In pairs, those with different labels first: one of the two may have to go.",
            "order": [n for n in pairs.ravel().tolist() if n >= 0],
            "captions": [text for n, text in zip(pairs.ravel(), captions, strict=True) if n >= 0],
        },
    ]


def _scores(found) -> dict[str, np.ndarray]:
    probability = {} if found.wrong is None else {"probability": found.wrong.probability}
    return probability | {name: one.score for name, one in found.detections.items()}


def _short(text: str) -> str:
    return text if len(text) <= MOST_TEXT else text[: MOST_TEXT - 1] + "…"


def _rounded(scores: np.ndarray) -> list[float | None]:
    return [round(float(score), 3) if np.isfinite(score) else None for score in scores]


def _links(data: OwnData, out: Path, order: np.ndarray) -> tuple[str | None, dict[int, str]]:
    """Where the page finds the originals: base + path, but for the ranks in the dict; "" is nowhere.

    A list may name any file; only those whose names are a picture's are linked, for a browser runs others.
    """
    from PIL import Image

    if data.files is None:
        return None, {}
    here, root = out.resolve(), data.root
    base = quote(os.fsencode(os.path.relpath(root.resolve(), here))) + "/"
    links, endings = {}, set(Image.registered_extensions()) - NO_LINK
    for rank, n in enumerate(order.tolist()):
        file = data.files[n]
        known = file is not None and file.suffix.lower() in endings
        link = base + quote(os.fsencode(os.path.relpath(file, root))) if known else ""
        if link != base + quote(data.paths[n], safe="/!~*'()"):
            links[rank] = link
    return base, links
