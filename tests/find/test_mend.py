"""mend: the decisions of a page become data, the input stays, and what does not fit is refused."""

import csv
import json
import os

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from robust_lib import __main__
from robust_lib.find import cells, pages, reading, search
from robust_lib.find import mend as mended_by
from robust_lib.find.mend import COLUMNS
from tests.find.test_reading import save, snapshot


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """One thread, no figure, and no time measured."""
    monkeypatch.setattr(pages, "_matrix_figure", lambda *_: {})
    monkeypatch.setattr(search.Job, "seconds_per_sample", lambda _: 0.0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def run(source, out, **options):
    given = {"device": "cpu", "epochs": 1, "detector": "cl", "progress": False, "backbone": "none"} | options
    return search.find(source, out, **given)


@pytest.fixture
def pets(tmp_path):
    """Seven cats, one of them twice, seven dogs, two names in both classes, and a broken file."""
    root = tmp_path / "pets"
    for n in range(7):
        save(root / "cat" / f"{n}.png", n)
        save(root / "dog" / f"{n + 5}.png", n + 20)
    save(root / "cat" / "old" / "copy of 0.png", 0)
    (root / "cat" / "broken.png").write_bytes(b"no picture")
    return root


@pytest.fixture
def listed(tmp_path):
    """The embeddings of twelve rows of text, in a CSV with columns of its own: names, and a note."""
    rows = ["name,label,note"] + [f"id {n},{'ab'[n % 2]},note {n}; with more" for n in range(12)]
    rows[4] = "=id 3,b,-note"
    (tmp_path / "list.csv").write_text("\n".join(["path" + rows[0][4:], *rows[1:]]) + "\n", encoding="utf-8")
    features = np.random.default_rng(0).normal(size=(12, 3))
    np.save(tmp_path / "rows.npy", features)
    return tmp_path / "list.csv"


def decide(out, file, *rows, **changes):
    """Writes decisions.csv for the run in `out`; rows: (path, decision, label)."""
    key = json.loads((out / "run.json").read_text(encoding="utf-8"))["key"]
    table = pd.read_csv(out / "ranked.csv", dtype=str, keep_default_na=False)
    known = {cells.plain(row.path): row for row in table.itertuples()}
    with file.open("w", newline="", encoding="utf-8") as opened:
        writer = csv.DictWriter(opened, COLUMNS)
        writer.writeheader()
        for path, decision, label in rows:
            row = {"run": key, "index": known[path][3], "path": path, "given": cells.plain(known[path].given)}
            row |= {"decision": decision, "label": label} | changes
            writer.writerow({name: cells.defused(text) for name, text in row.items()})
    return file


def tree(root):
    files = (path for path in root.rglob("*") if path.suffix == ".png")
    return {str(path.relative_to(root)): path.read_bytes() for path in files}


def test_a_list_of_a_folder(pets, tmp_path):
    run(pets, tmp_path / "out")
    before = snapshot(pets)
    file = decide(
        tmp_path / "out",
        tmp_path / "d.csv",
        ("cat/0.png", "suggestion", "dog"),
        ("cat/1.png", "keep", "cat"),
        ("cat/2.png", "drop", ""),
        ("dog/5.png", "class", "cat"),
        ("dog/6.png", "unsure", ""),
    )
    told = mended_by(tmp_path / "out", file)
    assert told.out == tmp_path / "out" / "mended.csv"
    assert (told.changed, told.dropped) == (3, 1)  # the copy of cat/0.png follows it
    table = pd.read_csv(told.out, keep_default_na=False, index_col="path")
    assert len(table) == 15
    assert table.label["./../pets/cat/0.png"] == "dog"
    assert table.label["./../pets/cat/old/copy of 0.png"] == "dog"
    assert table.label["./../pets/dog/5.png"] == "cat"
    assert table.label["./../pets/cat/broken.png"] == "cat"
    assert "./../pets/cat/2.png" not in table.index
    decided = table.find_decision[table.find_decision != ""]
    assert sorted(decided) == ["class", "keep", "suggestion", "suggestion", "unsure"]
    assert snapshot(pets) == before


@pytest.mark.parametrize("how", ["links", "copies"])
def test_a_copy_of_a_folder(pets, tmp_path, how):
    run(pets, tmp_path / "out")
    before, images = snapshot(pets), tree(pets)
    rows = [("cat/5.png", "suggestion", "dog"), ("dog/7.png", "drop", ""), ("dog/8.png", "class", "cat")]
    told = mended_by(tmp_path / "out", decide(tmp_path / "out", tmp_path / "d.csv", *rows), folder=how)
    expected = dict(images)
    expected["dog/5-2.png"] = expected.pop("cat/5.png")  # dog/5.png is another one
    expected["cat/8.png"] = expected.pop("dog/8.png")
    del expected["dog/7.png"]
    assert tree(told.out) == expected
    assert "1 file got another name, as there was one of that name: cat/5.png is dog/5-2.png" in told.summary
    linked = os.path.samefile(told.out / "cat" / "8.png", pets / "dog" / "8.png")
    assert linked == (how == "links")
    assert snapshot(pets) == before
    data = reading.read(told.out)
    assert [data.paths[n] for n in np.flatnonzero(data.decided)] == ["cat/8.png", "dog/5-2.png"]
    assert [problem.path for problem in data.problems] == ["cat/broken.png", "cat/old/copy of 0.png"]


@pytest.mark.parametrize("how", ["links", "copies"])
def test_a_link_to_nothing_does_not_stop_a_copy(pets, tmp_path, how):
    images = tree(pets)
    (pets / "cat" / "lost.png").symlink_to(tmp_path / "nowhere.png")
    run(pets, tmp_path / "out")
    file = decide(tmp_path / "out", tmp_path / "d.csv", ("dog/7.png", "drop", ""))
    told = mended_by(tmp_path / "out", file, folder=how)
    del images["dog/7.png"]
    assert tree(told.out) == images
    assert "not in it: 1 link to nothing, cat/lost.png" in told.summary


@pytest.mark.parametrize("decision", [("drop", ""), ("class", "b")])
def test_further_rows_of_a_file_follow_its_first(tmp_path, decision):
    """With the same label, with another one, and with none."""
    for n in range(12):
        save(tmp_path / f"{n}.png", n)
    rows = [f"{n}.png,{'ab'[n % 2]}" for n in range(12)] + ["4.png,a", "4.png,b", "4.png,"]
    (tmp_path / "list.csv").write_text("\n".join(["path,label", *rows]) + "\n")
    run(tmp_path / "list.csv", tmp_path / "out")
    file = decide(tmp_path / "out", tmp_path / "d.csv", ("4.png", *decision))
    table = pd.read_csv(mended_by(tmp_path / "out", file).out, keep_default_na=False)
    labels = table.label[table.path.str.endswith("/4.png")]
    assert labels.tolist() == ([] if decision[0] == "drop" else ["b"] * 4)


def test_a_mended_pack_has_its_own_rows_of_features(tmp_path):
    """Those of the probabilities, which are not in it, stay those from before."""
    labels, features = np.arange(30) % 3, np.random.default_rng(0).normal(size=(30, 4))
    probs = np.full((30, 3), 0.1) + 0.7 * np.eye(3)[labels]
    np.savez(tmp_path / "pack.npz", labels=labels, features=features)
    search.find(tmp_path / "pack.npz", tmp_path / "out", probs=probs)
    file = decide(tmp_path / "out", tmp_path / "d.csv", ("3", "drop", ""))
    told = mended_by(tmp_path / "out", file)
    kept = np.delete(np.arange(30), 3)
    data = reading.read(told.out, probs=probs)
    assert data.rows.tolist() == kept.tolist()
    np.testing.assert_allclose(data.probs, probs[kept])
    for paths in (cells.ROW, "sorted"):
        with pytest.raises(ValueError, match="paths must be left out for the features in mended.npz"):
            reading.read(told.out, paths=paths)
    alone = reading.read(told.out)
    whole = reading.read(tmp_path / "pack.npz").features
    assert torch.corrcoef(torch.stack([alone.features[:, 0], whole[kept, 0]]))[0, 1] > 0.999


@pytest.mark.parametrize("folder", [None, "copies"])
def test_find_goes_on_with_what_is_not_decided(pets, tmp_path, folder):
    run(pets, tmp_path / "out")
    rows = [("cat/1.png", "keep", "cat"), ("cat/2.png", "suggestion", "dog"), ("cat/3.png", "unsure", "")]
    file = decide(tmp_path / "out", tmp_path / "d.csv", *rows)
    told = mended_by(tmp_path / "out", file, folder=folder)
    again = run(told.out, tmp_path / "again")
    decided = {os.path.basename(again.data.paths[n]) for n in np.flatnonzero(again.data.decided)}
    assert decided == {"1.png", "2.png"}
    assert len(again.data.labels) == 14
    assert not again.flagged[again.data.decided].any()
    assert not again.wrong.probability[again.data.decided].any()
    assert again.wrong.probability[~again.data.decided].all()
    assert again.data.decided[again.ranking].tolist() == [False] * 12 + [True] * 2
    text = (tmp_path / "again" / "index.html").read_text(encoding="utf-8")
    data = json.loads(text.split('id="data">')[1].split("</script>")[0])
    assert len(data["paths"]) == 12
    assert not any(path.endswith(("/1.png", "/2.png")) for path in data["paths"])
    assert any("2 samples decided before" in line for line in again.summary)


def test_decisions_add_up_over_rounds(pets, tmp_path):
    run(pets, tmp_path / "out")
    file = decide(tmp_path / "out", tmp_path / "d.csv", ("cat/1.png", "keep", "cat"))
    first = mended_by(tmp_path / "out", file).out
    run(first, tmp_path / "again")
    path = "./../pets/cat/2.png"
    file = decide(tmp_path / "again", tmp_path / "e.csv", (path, "suggestion", "dog"))
    table = pd.read_csv(mended_by(tmp_path / "again", file).out, keep_default_na=False, index_col="path")
    assert list(table) == ["label", "find_decision", "find_row"]
    assert table.find_decision[["./../../pets/cat/1.png".replace("../../", "../"), path]].tolist() == [
        "keep",
        "suggestion",
    ]


def test_a_csv_keeps_its_columns_and_its_rows_of_features(listed, tmp_path):
    run(listed, tmp_path / "out", features=tmp_path / "rows.npy")
    rows = [("id 0", "drop", ""), ("=id 3", "suggestion", "a"), ("id 4", "keep", "a")]
    told = mended_by(tmp_path / "out", decide(tmp_path / "out", tmp_path / "d.csv", *rows))
    table = pd.read_csv(told.out, keep_default_na=False)
    assert list(table) == ["path", "label", "note", "find_decision", "find_row"]
    assert table.path.tolist() == [f"id {n}" if n != 3 else "'=id 3" for n in range(1, 12)]
    assert table.label[2] == "a"
    assert table.note[2] == "'-note"
    assert table.find_row.tolist() == list(range(1, 12))
    again = reading.read(told.out, tmp_path / "rows.npy")
    assert again.paths[2] == "=id 3"
    assert again.rows.tolist() == list(range(1, 12))
    assert again.decided.tolist() == [n in (3, 4) for n in range(1, 12)]
    features = np.load(tmp_path / "rows.npy")[1:]
    expected = reading.read(listed, tmp_path / "rows.npy").features[1:]
    assert np.corrcoef(again.features.ravel(), expected.ravel())[0, 1] > 0.99
    with pytest.raises(
        ValueError,
        match=r"must be the rows from before mended.csv was mended, at least 12, got 11; for rows .* delete",
    ):
        reading.read(told.out, features)


def test_labels_of_a_list_are_those_that_find_read(tmp_path):
    """1.0 and 1 are one class; nan is no label, but None is a class's folder."""
    features = np.random.default_rng(0).normal(size=(12, 3))
    labels = ["1.0", "1", "2", "2.0"] * 2 + ["1", "2", "nan", "2"]
    rows = [f"{n},{label}" for n, label in enumerate(labels)]
    (tmp_path / "list.csv").write_text("\n".join(["path,label", *rows]) + "\n", encoding="utf-8")
    found = run(tmp_path / "list.csv", tmp_path / "out", features=features)
    told = mended_by(tmp_path / "out", decide(tmp_path / "out", tmp_path / "d.csv", ("0", "class", "2")))
    again = reading.read(told.out, features)
    assert again.index.tolist() == found.data.index.tolist()
    expected = [found.data.classes[label] for label in found.data.labels]
    assert [again.classes[label] for label in again.labels] == ["2", *expected[1:]]
    for n in range(10):
        save(tmp_path / "folder" / ("None" if n % 2 else "01") / f"{n}.png", n)
    run(tmp_path / "folder", tmp_path / "other")
    file = decide(tmp_path / "other", tmp_path / "e.csv", ("None/1.png", "keep", "None"))
    assert reading.read(mended_by(tmp_path / "other", file).out).classes == ("01", "None")


@pytest.mark.parametrize("kind", ["numbers", "numbers of classes", "text", "bytes"])
def test_a_pack_of_arrays(tmp_path, kind):
    draw = np.random.default_rng(0)
    images, numbers = draw.integers(0, 255, (12, 8, 8), dtype=np.uint8), np.arange(12) % 2
    labels = {"text": np.array(["a", "bb"])[numbers], "bytes": np.array([b"a", b"bb"])[numbers]}
    more = {"classes": np.array(["a", "bb"])} if kind == "numbers of classes" else {}
    arrays = {"images": images, "labels": labels.get(kind, numbers.astype(np.float32)), "ids": np.arange(12)}
    np.savez(tmp_path / "pack.npz", **arrays, **more)
    run(tmp_path / "pack.npz", tmp_path / "out")
    a, b = ("0", "1") if kind == "numbers" else ("a", "bb")
    rows = [
        ("0", "class", b),
        ("1", "suggestion", a),
        ("2", "drop", ""),
        ("3", "keep", b),
        ("4", "unsure", ""),
    ]
    told = mended_by(tmp_path / "out", decide(tmp_path / "out", tmp_path / "d.csv", *rows))
    assert told.out.name == "mended.npz"
    with pytest.raises(ValueError, match="out must end in .npz, as what is written, got .*m.csv"):
        mended_by(tmp_path / "out", tmp_path / "d.csv", tmp_path / "m.csv")
    with np.load(told.out) as pack:
        np.testing.assert_array_equal(pack["images"], np.delete(images, 2, 0))
        assert pack["ids"].tolist() == [0, 1, *range(3, 12)]
        assert pack["labels"].dtype == arrays["labels"].dtype
        expected = arrays["labels"][[1, 0, *range(3, 12)]]
        np.testing.assert_array_equal(pack["labels"], expected)
    again = reading.read(told.out)
    assert again.decided.tolist() == [True, True, True] + [False] * 8
    assert again.rows is None


def test_rows_of_another_order_are_kept(pets, tmp_path):
    """torchvision's order puts a folder's own files before those of its folders below."""
    save(pets / "cat" / "zoo.png", 40)
    paths = reading.list_samples(pets, True, None).orders["imagefolder"]
    places = {path: n for n, path in enumerate(reading.list_samples(pets, True, None).orders["sorted"])}
    assert [places[path] for path in paths] != sorted(places.values())
    features = np.eye(len(paths))
    run(pets, tmp_path / "out", features=features, paths="imagefolder")
    file = decide(tmp_path / "out", tmp_path / "d.csv", ("cat/1.png", "drop", ""))
    told = mended_by(tmp_path / "out", file)
    table = pd.read_csv(told.out, keep_default_na=False)
    assert [paths[row] for row in table.find_row] == [path.removeprefix("./../pets/") for path in table.path]


def test_rows_of_a_mended_folder_may_be_old_or_new_ones_and_must_say_which(pets, tmp_path):
    """A change of label moves a file to another place among the sorted ones."""
    count = len(reading.list_samples(pets, True, None).labels)
    features = np.eye(count)
    run(pets, tmp_path / "out", features=features)
    file = decide(tmp_path / "out", tmp_path / "d.csv", ("cat/1.png", "suggestion", "dog"))
    told = mended_by(tmp_path / "out", file, folder="copies")
    which = (
        "before mended was mended, or rows made anew.*former give paths 'find_row', for the latter give paths"
    )
    with pytest.raises(ValueError, match=f"features could be the rows from {which} 'sorted'"):
        reading.read(told.out, features)
    old = reading.read(told.out, features, paths="find_row")
    assert any("order from before mended was mended; for rows made anew give paths" in n for n in old.notes)
    new = reading.read(told.out, features, paths="sorted")
    assert not any("was mended" in note for note in new.notes)
    assert (old.features.argmax(1) != new.features.argmax(1)).any()
    more = reading.read(told.out, np.eye(count + 1))  # cannot be made anew
    assert more.rows.tolist() == old.rows.tolist()


REFUSED = [
    ({"run": "0" * 32}, r"line 2 is of another run, '0000"),
    ({"index": "99"}, r"line 2: the input has no sample '99', 'cat/1.png', labelled 'cat'"),
    ({"index": "-1"}, r"line 2: the input has no sample '-1'"),
    ({"index": "²"}, r"line 2: the input has no sample '²'"),
    ({"path": "cat/3.png"}, r"line 2: the input has no sample"),
    ({"given": "dog"}, r"line 2: the input has no sample"),
    ({"decision": "delete"}, r"decision must be one of keep, suggestion, class, drop, unsure, got 'delete'"),
    ({"decision": "class", "label": "bird"}, r"label must be a class of the run, got 'bird'"),
    ({"decision": "class", "label": "../x"}, r"label must be a class of the run, got '../x'"),
    ({"decision": "class", "label": "cat"}, r"class does not go with label 'cat' where 'cat' is given"),
    ({"decision": "keep", "label": "dog"}, r"keep does not go with label 'dog'"),
    ({"decision": "drop", "label": "dog"}, r"drop does not go with label 'dog'"),
]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """One run that tests only read."""
    root = tmp_path_factory.mktemp("finished")
    for n in range(5):
        save(root / "pets" / "cat" / f"{n}.png", n)
        save(root / "pets" / "dog" / f"{n}.png", n + 20)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pages, "_matrix_figure", lambda *_: {})
        run(root / "pets", root / "out")
    return root


@pytest.mark.parametrize(("changes", "message"), REFUSED)
def test_decisions_that_do_not_fit_are_refused(finished, tmp_path, changes, message):
    file = decide(finished / "out", tmp_path / "d.csv", ("cat/1.png", "keep", "cat"), **changes)
    with pytest.raises(ValueError, match=message):
        mended_by(finished / "out", file)
    assert not (finished / "out" / "mended.csv").exists()


def test_files_that_are_no_decisions_are_refused(finished, tmp_path, monkeypatch):
    out, file = finished / "out", tmp_path / "d.csv"
    decide(out, file, ("cat/1.png", "keep", "cat"), ("cat/1.png", "drop", ""))
    with pytest.raises(ValueError, match=r"line 3: a second decision on 'cat/1.png'"):
        mended_by(out, file)
    file.write_text("path,label\nx,y\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"must have the columns run, index, .*, got 'path,label'"):
        mended_by(out, file)
    file.write_text(",".join(COLUMNS) + '\n"a', encoding="utf-8")
    with pytest.raises(ValueError, match=r"line 2 cannot be read"):
        mended_by(out, file)
    file.write_text(",".join(COLUMNS) + "\na,b\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"line 2 cannot be read: a cell is missing"):
        mended_by(out, file)
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match=r"must be UTF-8"):
        mended_by(out, file)
    monkeypatch.setattr(cells, "MOST_BYTES", 5)
    with pytest.raises(ValueError, match=r"must have at most 5 bytes, got more"):
        mended_by(out, file.with_name(decide(out, file, ("cat/1.png", "keep", "cat")).name))


def test_a_file_that_a_spreadsheet_program_saved_is_read(finished, tmp_path):
    rows = [("cat/1.png", "drop", ""), ("dog/2.png", "unsure", "")]
    file = decide(finished / "out", tmp_path / "d.csv", *rows)
    text = file.read_text(encoding="utf-8").replace(",", ";")
    file.write_bytes(b"\xef\xbb\xbf" + text.encode())
    told = mended_by(finished / "out", file, tmp_path / "m.csv")
    assert told.summary[0] == "of 10 samples, 2 decided: 1 drop, 1 unsure"


def test_a_name_may_hold_a_separator_of_lines(tmp_path):
    """U+2028 ends a line for str.splitlines, but not in a CSV."""
    for n in range(6):
        save(tmp_path / "pets" / "cat" / f"{n}\u2028.png", n)
        save(tmp_path / "pets" / "dog" / f"{n}.png", n + 20)
    run(tmp_path / "pets", tmp_path / "out")
    file = decide(tmp_path / "out", tmp_path / "d.csv", ("cat/3\u2028.png", "drop", ""))
    told = mended_by(tmp_path / "out", file, folder="copies")
    assert reading.read(told.out).paths[:4] == [f"cat/{n}\u2028.png" for n in (0, 1, 2, 4)]


def label_changed(pets):
    (pets / "cat" / "1.png").rename(pets / "dog" / "1.png")


def picture_changed(pets):
    save(pets / "cat" / "1.png", 99)


def file_added(pets):
    save(pets / "cat" / "9.png", 99)


@pytest.mark.parametrize("change", [label_changed, picture_changed, file_added])
def test_a_changed_input_is_refused(pets, tmp_path, change):
    run(pets, tmp_path / "out")
    file = decide(tmp_path / "out", tmp_path / "d.csv", ("cat/2.png", "keep", "cat"))
    change(pets)
    with pytest.raises(ValueError, match=r"be as find saw it, but .*pets or a file it lists has changed"):
        mended_by(tmp_path / "out", file)


def test_decisions_on_the_input_before_its_change_are_of_another_run(pets, tmp_path):
    run(pets, tmp_path / "out")
    file = decide(tmp_path / "out", tmp_path / "d.csv", ("cat/2.png", "keep", "cat"))
    os.utime(pets / "cat" / "1.png")  # touched, not changed: find sees the same data
    run(pets, tmp_path / "out")
    assert mended_by(tmp_path / "out", file, tmp_path / "m.csv").changed == 0
    label_changed(pets)
    run(pets, tmp_path / "out")
    with pytest.raises(ValueError, match=r"is of another run"):
        mended_by(tmp_path / "out", file, tmp_path / "n.csv")


def test_where_it_may_write(finished, tmp_path):
    out, pets = finished / "out", finished / "pets"
    file = decide(out, tmp_path / "d.csv", ("cat/1.png", "keep", "cat"))
    for inside in (pets, pets / "m.csv", pets / "cat" / "m"):
        with pytest.raises(ValueError, match="out must not be inside the input"):
            mended_by(out, file, inside)
    with pytest.raises(ValueError, match="out must be new, got .*d.csv, which is there"):
        mended_by(out, file, file)
    with pytest.raises(ValueError, match="out must lie in a folder that is there"):
        mended_by(out, file, tmp_path / "no" / "m.csv")
    with pytest.raises(ValueError, match="out must end in .csv, as what is written, got .*m.npz"):
        mended_by(out, file, tmp_path / "m.npz")
    with pytest.raises(ValueError, match="must be one of links, copies, for a folder of images, got 'x'"):
        mended_by(out, file, tmp_path / "m", folder="x")
    with pytest.raises(ValueError, match="run must be a folder of find"):
        mended_by(tmp_path, file)


def test_a_run_that_is_not_finished_is_refused(finished, tmp_path):
    record = json.loads((finished / "out" / "run.json").read_text(encoding="utf-8"))
    (tmp_path / "run.json").write_text(json.dumps(record | {"status": "unfinished"}), encoding="utf-8")
    with pytest.raises(ValueError, match="run must be finished by this version of find"):
        mended_by(tmp_path, tmp_path / "d.csv")


def test_a_copy_that_fails_leaves_nothing_there(pets, tmp_path, monkeypatch):
    run(pets, tmp_path / "out")
    file = decide(tmp_path / "out", tmp_path / "d.csv", ("cat/2.png", "keep", "cat"))

    def fails(*_):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", fails)
    with pytest.raises(ValueError, match="cross-device link.*; copies can be made everywhere"):
        mended_by(tmp_path / "out", file, folder="links")
    assert not (tmp_path / "out" / "mended").exists()
    mended_by(tmp_path / "out", file, folder="copies")
    assert not (tmp_path / "out" / "mended.partial").exists()


def test_the_command(finished, tmp_path):
    out = finished / "out"
    file = decide(out, tmp_path / "d.csv", ("cat/1.png", "suggestion", "dog"))
    words = ["mend", str(out), str(file), "--out", str(tmp_path / "m.csv")]
    done = CliRunner().invoke(__main__.main, words)
    assert done.exit_code == 0, done.output
    assert "1 label is changed, 0 samples dropped" in done.output
    again = CliRunner().invoke(__main__.main, words)
    assert again.exit_code == 1
    assert again.output.startswith("Error: out must be new")


# --- cells --------------------------------------------------------------------------------------------

FORMULAS = ["=1+2", "+a", "-a", "@x", "＝1", "'=1", "' x", " =1", '"=1"', "a;=1", 'a; "=1"', "a;b;-c", ";'@"]
FORMULAS += ["'", "''", "a\t=1"]
OTHERS = ["", "a", "-1", "+3.5", "a=b", "a-b", "x;y", "it's"]


@pytest.mark.parametrize("text", [*FORMULAS, *OTHERS])
def test_cells_are_defused_and_read_again(text):
    cell = cells.defused(text)
    assert cells.plain(cell) == text
    assert (cell != text) == (text in FORMULAS)
    for separator in (";", "\t"):
        for part in cell.split(separator):
            assert not part.strip(' "').startswith(tuple("=+-@＝")) or part in ("-1", "+3.5")


def test_tables_are_defused(tmp_path, monkeypatch):
    pixels = np.random.default_rng(0).integers(0, 255, (12, 8, 8), dtype=np.uint8)
    for n, image in enumerate(pixels):
        file = tmp_path / "in" / ("=cmd" if n % 2 else "-1") / f"@{n}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(file)
    run(tmp_path / "in", tmp_path / "out")
    table = pd.read_csv(tmp_path / "out" / "ranked.csv", dtype=str)
    assert set(table.given) == {"-1", "'=cmd"}
    assert {path[:3] for path in table.path} == {"'-1", "'=c"}
