"""The pages `find` writes: what they hold, and that they need nothing else."""

import csv
import html.parser
import json
import os
import re
from urllib.parse import unquote_to_bytes

import numpy as np
import pytest
from PIL import Image

from robust_lib.detection import Detection
from robust_lib.find import listing, neighbours, pages, reading
from robust_lib.find.findings import Findings
from robust_lib.find.neighbours import Neighbours

SHADES = np.arange(10, 250, 4)  # one plain shade per picture, so that a thumbnail tells which one it is
ODD = "a&b <script>'\"#?%41 ü.png"


draw = pages._matrix_figure


@pytest.fixture
def found(tmp_path, monkeypatch):
    """60 plain pictures of two classes, the third to the twelfth flagged, the ranking a fixed shuffle."""
    monkeypatch.setattr(pages, "_matrix_figure", lambda *_: {"png": b"", "svg": b""})  # slow to draw
    root = tmp_path / "in put" / "pets"
    for n, shade in enumerate(SHADES):
        name = ODD if n == 7 else f"{n:02}.png"
        file = root / ("cat <script>" if n < 30 else "dog") / name
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (20, 20), int(shade)).save(file)
    data = reading.read(root)
    data.problems.append(listing.Problem("x.png", "left out: </script><b>broken</b>"))
    score = np.random.default_rng(0).normal(size=60)
    score[5] = np.inf
    flagged = np.isin(np.arange(60), np.arange(2, 12))
    detection = Detection(flagged, score)
    suggested = np.where(flagged, 1 - data.labels, data.labels)
    out = tmp_path / "out"
    out.mkdir()
    detections = {"aum": detection}
    return Findings(
        data, out, detections, flagged, detection.ranking, suggested, np.zeros((60, 2)), ["60 <images>"]
    )


def page(found):
    text = (found.out / "index.html").read_text(encoding="utf-8")
    blob = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)
    return text, json.loads(blob.group(1))


def test_the_page_needs_nothing_but_its_folder(found):
    pages.write(found)
    text, data = page(found)
    tags = []
    parser = html.parser.HTMLParser()
    parser.handle_starttag = lambda tag, attributes: tags.append((tag, dict(attributes)))
    parser.feed(text)
    assert "://" not in text
    assert "@import" not in text
    scripts = [attributes for tag, attributes in tags if tag == "script"]
    assert [attributes.get("src") for attributes in scripts] == [None] * 3
    assert all(tag not in ("link", "iframe") for tag, _ in tags)
    for tag, attributes in tags:
        for name in ("src", "href"):
            assert name not in attributes or (found.out / attributes[name]).is_file(), (tag, attributes)
    assert data["classes"] == ["cat <script>", "dog"]
    assert data["problems"] == [["x.png", "left out: </script><b>broken</b>"]]
    assert "innerHTML" not in text  # names are text, never markup


def test_the_page_holds_the_ranking(found):
    pages.write(found)
    _, data = page(found)
    order = found.ranking
    assert data["paths"] == [found.data.paths[n] for n in order]
    assert data["given"] == found.data.labels[order].tolist()
    assert data["suggested"] == found.suggested[order].tolist()
    assert data["flagged"] == found.flagged[order].astype(int).tolist()
    assert data["scores"]["aum"][-1] is None  # infinite: could not be judged
    assert data["scores"]["aum"][:-1] == sorted(data["scores"]["aum"][:-1])
    assert data["confusions"] == [[0, 1, 10]]


def test_thumbnails_lie_where_the_page_looks_for_them(found):
    pages.write(found)
    _, data = page(found)
    assert data["thumbnails"] == 60
    assert sorted(path.name for path in (found.out / "thumbs").iterdir()) == ["0000.jpg", "0001.jpg"]
    for rank, n in enumerate(found.ranking.tolist()):
        sheet, place = divmod(rank, data["per_sheet"])
        line, column = divmod(place, data["columns"])
        with Image.open(found.out / "thumbs" / f"{sheet:04}.jpg") as picture:
            middle = (column * data["tile"] + 48, line * data["tile"] + 48)
            shown = picture.convert("L").getpixel(middle)
        assert abs(shown - found.data.picture(n).getpixel((0, 0))) <= 3


def test_links_lead_to_the_originals(found):
    pages.write(found)
    _, data = page(found)
    for rank, n in enumerate(found.ranking.tolist()):
        # As the page makes them: encodeURIComponent of each part, which leaves these characters.
        encoded = "/".join(pages.quote(part, safe="!~*'()") for part in data["paths"][rank].split("/"))
        link = data["links"].get(str(rank), data["base"] + encoded)
        target = os.fsencode(found.out) + b"/" + unquote_to_bytes(link)
        assert os.path.samefile(target, found.data.files[n])


def test_a_rerun_gives_the_same_bytes_and_drops_old_sheets(found, monkeypatch):
    monkeypatch.setattr(pages, "_matrix_figure", draw)
    pages.write(found)
    first = {path: path.read_bytes() for path in found.out.rglob("*") if path.is_file()}
    stale = found.out / "thumbs" / "0007.jpg"
    stale.write_bytes(b"")
    pages.write(found)
    assert {path: path.read_bytes() for path in found.out.rglob("*") if path.is_file()} == first


def test_the_noise_matrix_says_which_way(found):
    pages.write(found)
    with open(found.out / "noise_matrix.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [
        (r["given"], r["suggested"], r["count"], r["share_of_given"], r["share_of_suggested"]) for r in rows
    ] == [
        ("cat <script>", "cat <script>", "20", "0.6667", "1.0000"),
        ("cat <script>", "dog", "10", "0.3333", "0.2500"),
        ("dog", "dog", "30", "1.0000", "0.7500"),
    ]


def test_many_classes_and_no_flags_can_be_drawn():
    pictures = draw(np.diag(np.full(50, 3)), [f"class $^{n}" for n in range(50)])
    assert pictures["png"].startswith(b"\x89PNG")


NAMES = ["$\\bad$", "$5-$10", "a_b^c{", "猫", "🐈", "Käse", "עברית", "x" * 30, "#"]


def test_names_of_every_kind_are_drawn_as_plain_text(monkeypatch):
    """Warnings are errors: a glyph that the font lacks would warn."""
    import matplotlib

    monkeypatch.setitem(matplotlib.rcParams, "text.usetex", True)
    pictures = draw(np.eye(len(NAMES), k=1, dtype=int), NAMES)
    assert pictures["png"].startswith(b"\x89PNG")
    ticks = [pages._tick(k, name) for k, name in enumerate(NAMES)]
    assert ticks[:3] == NAMES[:3]
    assert ticks[3:6] == ["#3", "#4", "Käse"]
    assert ticks[7:] == ["x" * 17 + "…", "#"]
    figure = pages._draw_matrix(np.eye(3, dtype=int), ["猫", "b", "c"])
    assert [tick.get_text() for tick in figure.axes[0].get_xticklabels()] == ["#0", "b", "c"]


def test_the_page_says_which_number_is_which_class(found):
    object.__setattr__(found.data, "classes", ("猫", "dog"))
    pages.write(found)
    assert page(found)[1]["legend"] == [["#0", "猫"]]


def test_samples_without_a_picture_have_no_link(found):
    found.data.files[4] = None
    found.data.files[5] = found.data.files[5].with_suffix(".html")  # a list may name what a browser would run
    pages.write(found)
    _, data = page(found)
    for n in (4, 5):
        assert data["links"][str(found.ranking.tolist().index(n))] == ""


def test_pictures_that_cannot_be_shown_leave_the_page_whole(found, monkeypatch):
    found.data.files[3].write_bytes(b"")
    monkeypatch.setattr(pages, "MOST_THUMBNAILS", 50)
    pages.write(found)
    _, data = page(found)
    assert data["thumbnails"] == 50
    assert len(data["paths"]) == 60


# --- the other lists ----------------------------------------------------------------------------------


@pytest.fixture
def placed(found):
    """found with places in feature space: the last sample is the farthest, two pairs are near duplicates."""
    places = Neighbours(np.arange(60) / 30, np.array([[8, 40], [3, 4]]), np.array([0.2, 0.1]))
    object.__setattr__(found, "neighbours", places)
    return found


def test_the_page_has_the_other_lists(placed):
    pages.write(placed)
    _, data = page(placed)
    far, twins = data["lists"]
    assert [data["paths"][rank] for rank in far["order"]] == [placed.data.paths[n] for n in range(59, -1, -1)]
    assert far["captions"][0] == "distance 1.97, 1 is typical"
    assert [data["paths"][rank] for rank in twins["order"]] == [placed.data.paths[n] for n in (8, 40, 3, 4)]
    assert twins["captions"] == ["pair 1: labels differ"] * 2 + ["pair 2"] * 2
    with open(placed.out / "duplicates.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(r["given"], r["given_other"], r["conflict"]) for r in rows] == [
        ("cat <script>", "dog", "True"),
        ("cat <script>", "cat <script>", "False"),
    ]


def test_without_features_there_are_no_other_lists(placed):
    pages.write(placed)
    assert {"outliers.csv", "duplicates.csv"} < {path.name for path in placed.out.iterdir()}
    object.__setattr__(placed, "neighbours", neighbours.NONE)
    for name in ("outliers", "duplicates"):
        vars(placed).pop(name)  # as a later run's would be
    pages.write(placed)
    assert page(placed)[1]["lists"] == []
    assert not {"outliers.csv", "duplicates.csv"} & {path.name for path in placed.out.iterdir()}


def test_the_other_lists_begin_with_thumbnails_in_large_sets(placed, monkeypatch):
    monkeypatch.setattr(pages, "MOST_THUMBNAILS", 10)
    monkeypatch.setattr(pages, "MOST_OTHERS", 3)
    pages.write(placed)
    _, data = page(placed)
    first = set(placed.ranking[:10].tolist())
    wanted = [n for n in sorted({59, 58, 57, 8, 40, 3}) if n not in first]
    assert data["thumbnails"] == 10
    rank = placed.ranking.tolist().index
    assert data["beyond"] == {str(rank(n)): 10 + place for place, n in enumerate(wanted)}
    with Image.open(placed.out / "thumbs" / "0000.jpg") as sheet:
        for place, n in enumerate(wanted, start=10):
            line, column = divmod(place, data["columns"])
            shown = sheet.convert("L").getpixel((column * data["tile"] + 48, line * data["tile"] + 48))
            assert abs(shown - placed.data.picture(n).getpixel((0, 0))) <= 3
