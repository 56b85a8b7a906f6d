"""Probabilities of one's own network: every way to give them, the flags that cleanlab has, and text."""

import json
import os
import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from cleanlab.filter import find_label_issues
from click.testing import CliRunner

from robust_lib import __main__, training
from robust_lib.data import noise
from robust_lib.find import pages, probabilities, reading, search
from tests.find.test_reading import problems, save, table

CLASSES = ("bird", "cat", "dog")


@pytest.fixture(autouse=True)
def without_a_figure(monkeypatch):
    monkeypatch.setattr(pages, "_matrix_figure", lambda *_: {})


def rows(samples, classes=3, seed=0):
    return np.random.default_rng(seed).dirichlet(np.full(classes, 0.3), samples)


@pytest.fixture
def noted(tmp_path):
    """200 notes without pictures, of which some labels are wrong."""
    probs = rows(200)
    flips = noise.corrupt(probs.argmax(1), noise.uniform(3, 0.15), seed=0)
    given = flips.labels.numpy()
    texts = [f'note {n}, with "quotes"\nand a second line' for n in range(200)]
    columns = {"id": [f"n{n}" for n in range(200)], "label": np.array(CLASSES)[given], "text": texts}
    pd.DataFrame(columns).to_csv(tmp_path / "notes.csv", index=False)
    return SimpleNamespace(
        source=tmp_path / "notes.csv", probs=probs, given=given, wrong=flips.mask, texts=texts
    )


def written(folder, probs, kind):
    """The probabilities in a file of each kind; where columns can be named, in another order."""
    other = [2, 0, 1]
    file = folder / f"probs.{kind}"
    if kind == "npy":
        np.save(file, probs)
    elif kind == "npz":
        np.savez(file, pred_probs=probs[:, other], classes=np.array(CLASSES)[other], more=np.arange(3))
    else:
        names = [CLASSES[k] for k in other]
        pd.DataFrame(probs[:, other], columns=names).to_csv(
            file, index=False, sep="\t" if kind == "tsv" else ","
        )
    return file


@pytest.mark.parametrize("kind", ["npy", "npz", "csv", "tsv"])
def test_files_of_every_kind_say_the_same(noted, tmp_path, kind):
    data = reading.read(noted.source, probs=written(tmp_path, noted.probs, kind))
    np.testing.assert_allclose(data.probs, noted.probs, atol=1e-12)
    assert data.classes == CLASSES


def test_arrays_and_tensors_do_too(noted):
    given = (noted.probs, torch.tensor(noted.probs, requires_grad=True), noted.probs.astype(np.float16))
    for probs, error in zip(given, (1e-12, 1e-6, 1e-3), strict=True):
        np.testing.assert_allclose(reading.read(noted.source, probs=probs).probs, noted.probs, atol=error)


@pytest.mark.parametrize("header", ["", "0,1\n"])
def test_a_csv_may_begin_with_class_numbers(tmp_path, header):
    """0,1 is a header and a row of probabilities at once: the number of rows tells."""
    source = table(tmp_path, *"0101", header="label")
    (tmp_path / "p.csv").write_text(header + "1,0\n0.25,0.75\n0.5,0.5\n0,1\n")
    data = reading.read(source, probs=tmp_path / "p.csv")
    np.testing.assert_array_equal(data.probs, [[1, 0], [0.25, 0.75], [0.5, 0.5], [0, 1]])


def fails(message, source, probs, **options):
    with pytest.raises(ValueError, match=message):
        reading.read(source, probs=probs, **options)


def test_rows_that_are_no_probabilities(noted, tmp_path):
    probs, source = noted.probs, noted.source
    fails("probs must have a row for each of 200 samples, got 199", source, probs[1:])
    fails(r"probs must be numbers \(N, 2 classes or more\), got float64 \(200,\)", source, probs[:, 0])
    logits = np.log(probs)
    fails("probs must lie in 0 … 1, got -.* in row 0: are these logits", source, logits)
    fails("rows that sum to 1, got 0.5: 200 of 200 rows do not, the first is row 0", source, probs / 2)
    fails(r"a column for each of 3 classes \(bird, cat, dog\), got 4", source, rows(200, 4))
    fails("probs must name its 3 columns, each once, got a, a, b", source, pack(tmp_path, probs, "aab"))
    fails("a column for each class, got none for bird, cat, dog", source, pack(tmp_path, probs, "abc"))
    np.savez(tmp_path / "q.npz", logits=probs)
    fails("must hold probs or pred_probs, got logits", source, tmp_path / "q.npz")
    (tmp_path / "q.csv").write_text("bird,cat,dog\n0.1,x,0.9\n")
    fails("probs cannot be read from .*q.csv: .*'x'", source, tmp_path / "q.csv")


def pack(folder, probs, classes):
    np.savez(folder / "p.npz", probs=probs, classes=list(classes))
    return folder / "p.npz"


def test_a_row_without_a_value_is_left_out(noted):
    probs = noted.probs.copy()
    probs[7, 1] = np.nan
    data = reading.read(noted.source, probs=probs)
    assert problems(data) == {"n7": "left out: its probabilities hold NaN"}
    np.testing.assert_allclose(data.probs, np.delete(noted.probs, 7, 0), rtol=1e-12)


def test_columns_of_classes_that_go(tmp_path):
    """One cat is too few: its column goes, and the others' rows sum to 1 again."""
    source = table(tmp_path, *["bird"] * 3, "cat", *["dog"] * 3, header="label")
    data = reading.read(source, probs=np.tile([0.2, 0.5, 0.3], (7, 1)))
    np.testing.assert_allclose(data.probs, np.tile([0.4, 0.6], (6, 1)))
    assert "columns of probs for classes that are not used go: cat" in data.notes
    without = np.tile([0.0, 1.0, 0.0], (7, 1))  # nothing is left
    np.testing.assert_array_equal(reading.read(source, probs=without).probs, np.full((6, 2), 0.5))


def test_rows_in_the_order_of_torchvision(tmp_path):
    from torchvision.datasets import ImageFolder

    root = tmp_path / "nested"
    for seed, name in enumerate(("cat/b.png", "cat/old/a.png", "cat/z.png", "dog/1.png", "dog/2.png")):
        save(root / name, seed)
    probs = rows(5, 2)
    fails("probs could come in the order of sorted paths or in that of torchvision", root, probs)
    data = reading.read(root, probs=probs, paths="imagefolder")
    theirs = [os.path.relpath(file, root) for file, _ in ImageFolder(root).samples]
    np.testing.assert_allclose(data.probs, probs[[theirs.index(path) for path in data.paths]])
    assert data.images is None
    assert data.picture(0) is not None


def test_columns_of_a_folder_whose_classes_have_two_orders(tmp_path):
    """ImageFolder has the classes as text, 1, 10, 2; find counts them by number."""
    from torchvision.datasets import ImageFolder

    root = tmp_path / "numbers"
    for seed, name in enumerate(f"{label}/{n}.png" for label in ("1", "2", "10") for n in range(3)):
        save(root / name, seed)
    theirs = ImageFolder(root)
    probs = np.eye(3)[theirs.targets] * 0.7 + 0.1
    message = r"probs must have names for its columns, for numbers .* \(1, 2, 10\) is not that of torchvision"
    for paths in (None, "sorted"):
        fails(message, root, probs, paths=paths)
    named = tmp_path / "named.npz"
    np.savez(named, probs=probs, classes=np.array(theirs.classes))
    for data in (reading.read(root, probs=probs, paths="imagefolder"), reading.read(root, probs=named)):
        assert data.classes == ("1", "2", "10")
        assert data.probs.argmax(1).tolist() == data.labels.tolist()


def test_a_mended_list_says_which_rows_are_left(tmp_path):
    lines = ["a,cat,keep,3", "b,cat,,1", "c,dog,,0", "d,dog,,4"]
    source = table(tmp_path, *lines, header="path,label,find_decision,find_row")
    probs = rows(5, 2)
    data = reading.read(source, probs=probs)
    np.testing.assert_allclose(data.probs, probs[[3, 1, 0, 4]])
    assert data.decided.tolist() == [True, False, False, False]
    assert data.rows.tolist() == [3, 1, 0, 4]
    fails(
        "probs must be the rows from before list.csv was mended, at least 5, got 4; for rows made anew",
        source,
        probs[:4],
    )
    both = reading.read(source, np.eye(5), probs=probs)
    np.testing.assert_allclose(both.probs, data.probs)
    assert both.features.argmax(1).tolist() == [3, 1, 0, 4]


def test_what_looks_like_the_training_set_is_said():
    labels = np.arange(300) % 3
    sure = np.eye(3)[labels] * 0.97 + 0.01
    assert probabilities.remarks(np.roll(labels, 1), sure) == []
    (line,) = probabilities.remarks(labels, sure)
    assert line.startswith("CAUTION: the probabilities name the given label of 100.0 % of the samples")
    doubtful = sure.copy()
    doubtful[:6] = doubtful[:6, [1, 2, 0]]
    assert probabilities.remarks(labels, doubtful) == []
    assert "all 0 or 1" in probabilities.remarks(np.roll(labels, 1), np.eye(3)[labels])[0]


def test_nothing_is_trained_and_flags_are_those_of_cleanlab(noted, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "fit_together", None)
    found = search.find(noted.source, tmp_path / "out", probs=noted.probs)
    expected = find_label_issues(noted.given, noted.probs, filter_by="both", n_jobs=1)
    np.testing.assert_array_equal(found.flagged, expected)
    np.testing.assert_array_equal(
        find_label_issues(found.data.labels, found.probs, filter_by="both", n_jobs=1), expected
    )
    assert noted.wrong[found.ranking[:20]].double().mean() >= 0.9
    assert list(found.detections) == ["cl"]
    assert found.outliers.empty
    with_features = search.find(noted.source, tmp_path / "out", probs=noted.probs, features=noted.probs)
    np.testing.assert_array_equal(with_features.flagged, expected)
    assert len(with_features.outliers) == 200


def test_text_is_shown_in_the_table(noted, tmp_path):
    found = search.find(noted.source, tmp_path / "out", probs=noted.probs)
    ranked = pd.read_csv(tmp_path / "out" / "ranked.csv")
    assert ranked.text.tolist() == [noted.texts[n] for n in ranked["index"]]
    assert ranked.path.tolist() == [f"n{n}" for n in ranked["index"]]
    assert found.data.notes == []  # no word on pictures or on line breaks


def test_the_page_shows_probabilities_and_texts(noted, tmp_path):
    search.find(noted.source, tmp_path / "out", probs=noted.probs)
    page = (tmp_path / "out" / "index.html").read_text()
    data = json.loads(
        re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)[1]
    )
    ranked = pd.read_csv(tmp_path / "out" / "ranked.csv")
    np.testing.assert_allclose(data["scores"]["probability"], ranked.probability, atol=6e-4)
    assert data["texts"] == ranked.text.tolist()
    assert pages._short("x" * pages.MOST_TEXT) == "x" * pages.MOST_TEXT
    assert pages._short("x" * 2000) == "x" * (pages.MOST_TEXT - 1) + "…"
    assert any(line.startswith("a place to stop: ") for line in data["summary"])


def test_breaks_in_other_columns_are_still_said(tmp_path):
    source = tmp_path / "list.csv"
    source.write_text('label,text,more\na,"x\ny",1\nb,x,"1\n2"\na,,\nb,,\n')
    data = reading.read(source, features=np.eye(4))
    assert data.texts == ["x\ny", "x", "", ""]
    assert "1 rows hold line breaks in other columns, the first in line 4" in data.notes
    with pytest.raises(ValueError, match="must have one column text, got text, label, text"):
        reading.read(table(tmp_path, "x,a,y", header="text,label,text"), features=np.eye(4))


def test_the_table_of_issues_is_named_as_that_of_datalab(noted, tmp_path):
    features = noted.probs.copy()
    features[1], features[9] = features[0], (50, -50, 0)
    found = search.find(noted.source, tmp_path / "out", probs=noted.probs, features=features)
    issues = found.issues()
    assert list(issues) == (
        [
            "is_label_issue",
            "label_score",
            "given_label",
            "predicted_label",
            "is_outlier_issue",
            "outlier_score",
        ]
        + ["is_near_duplicate_issue", "near_duplicate_score", "near_duplicate_sets"]
    )
    assert issues.index.tolist() == list(range(200))
    np.testing.assert_array_equal(issues.is_label_issue, found.flagged)
    np.testing.assert_allclose(1 - issues.label_score, found.wrong.probability)
    assert issues.given_label.tolist() == [CLASSES[k] for k in noted.given]
    assert issues.outlier_score.idxmin() == 9
    assert issues.is_outlier_issue[9]
    assert issues.is_outlier_issue.mean() < 0.2
    assert 0 in issues.near_duplicate_sets[1]
    assert issues.near_duplicate_score[1] == 0
    alone = ~issues.is_near_duplicate_issue
    assert (issues.near_duplicate_score[alone] == 1).all()
    assert (issues.near_duplicate_sets[alone].map(len) == 0).all()
    without = search.find(noted.source, tmp_path / "out", probs=noted.probs).issues()
    assert list(without) == ["is_label_issue", "label_score", "given_label", "predicted_label"]


def test_a_frame_s_columns_are_names(noted):
    frame = pd.DataFrame(noted.probs, columns=CLASSES)
    plain = reading.read(noted.source, probs=noted.probs).probs
    for given in (frame, frame[["dog", "bird", "cat"]], pd.DataFrame(noted.probs)):
        np.testing.assert_array_equal(reading.read(noted.source, probs=given).probs, plain)
    with pytest.raises(ValueError, match="got none for bird, cat, dog; its columns are x, y"):
        reading.read(noted.source, probs=frame.set_axis(list("xyz"), axis=1))


def test_a_class_that_has_no_column_is_named_beside_sums(noted):
    with pytest.raises(ValueError, match="rows that sum to 1, .*; 2 columns for 3 classes$"):
        reading.read(noted.source, probs=noted.probs[:, :2])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"detector": "aum"}, "detector must be 'cl' or 'both' where probs are given, got 'aum'"),
        ({"epochs": 3}, "epochs must be left out where probs are given, got 3"),
    ],
)
def test_what_would_train_is_refused(noted, tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        search.find(noted.source, tmp_path / "out", probs=noted.probs, **options)


def test_the_command_takes_them(noted, tmp_path):
    file = written(tmp_path, noted.probs, "csv")
    command = ["find", str(noted.source), "--probs", str(file), "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(__main__.main, command)
    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[0] == "200 samples, 3 classes, no problem in notes.csv"
    assert "labels expected to be wrong: " in done.output
