"""find: the evidence is the library's own, planted errors come out on top, and a killed run goes on."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from robust_lib import __main__, detection, losses, records, training
from robust_lib.data import noise
from robust_lib.detection import confident
from robust_lib.find import backbones, calibration, pages, reading, search
from robust_lib.training import models
from tests.find.test_reading import save, snapshot


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    """So that a run here and one in another process are the same to the last bit. And no figure: it is slow,
    and test_report has it."""
    monkeypatch.setattr(pages, "_matrix_figure", lambda *_: {})
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def digits(path, count=200, rate=0.1):
    """8 × 8 digits as arrays, some labels flipped: the file and the mask of the flips."""
    pixels, labels = load_digits(return_X_y=True)
    flips = noise.corrupt(labels[:count], noise.uniform(10, rate), seed=0)
    images = (pixels[:count] * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8)
    np.savez(path, images=images, labels=flips.labels.numpy())
    return path, flips.mask.numpy()


def run(source, out, **options):
    given = {"device": "cpu", "epochs": 2, "progress": False, "backbone": "none"} | options
    return search.find(source, out, **given)


def test_planted_errors_come_out_on_top(tmp_path):
    source, wrong = digits(tmp_path / "digits.npz", 400)
    found = run(source, tmp_path / "out", epochs=10)
    assert wrong[found.ranking[:20]].mean() >= 0.9
    assert wrong[found.flagged].mean() >= 0.6
    assert found.flagged[wrong].mean() >= 0.6
    true = load_digits().target[:400]
    hits = found.flagged & wrong
    assert (found.suggested[hits] == true[hits]).mean() >= 0.8
    assert (found.suggested != found.data.labels)[found.flagged].all()


def test_the_evidence_is_that_of_the_library(tmp_path):
    source, _ = digits(tmp_path / "digits.npz")
    found = run(source, tmp_path / "out", loss="ce", seed=3)
    exact = found.data.images.double() / 255
    job = search._job(found.data, losses.ce(), 2, 3, "cpu", False)
    torch.testing.assert_close(job.inputs.double(), (exact - exact.mean()) / exact.std(), rtol=0, atol=1e-5)
    assert job.recipe == replace(search.IMAGES, epochs=2)
    labels, same = torch.from_numpy(found.data.labels), {"seed": 3, "device": "cpu", "progress": False}
    given = (job.inputs, labels, losses.ce(), job.recipe)

    def build(seed, outputs=10):
        return models.build("stride_cnn", job.inputs, outputs, seed)

    probs = detection.cross_validate(build, *given, **same).probs
    runs = detection.threshold_runs(lambda seed: build(seed, 11), *given, classes=10, runs=2, **same)
    cl, aum = (
        detection.confident_learning(labels, probs),
        detection.area_under_margin(labels, runs, percentile=95),
    )
    np.testing.assert_array_equal(found.probs, probs)
    np.testing.assert_array_equal(found.detections["aum"].score, aum.score)
    np.testing.assert_array_equal(found.detections["cl"].flagged, cl.flagged)
    np.testing.assert_array_equal(found.flagged, cl.flagged & aum.flagged)


@pytest.mark.parametrize("detector", ["cl", "aum"])
def test_one_detector_alone(tmp_path, detector):
    source, _ = digits(tmp_path / "digits.npz")
    found = run(source, tmp_path / "out", detector=detector)
    (only,) = found.detections.items()
    assert only[0] == detector
    np.testing.assert_array_equal(found.flagged, only[1].flagged)
    np.testing.assert_array_equal(found.ranking, only[1].ranking)
    assert found.probs.shape == (200, 10)
    assert np.isfinite(only[1].score).all()


def test_the_table_and_the_matrix(tmp_path):
    source, _ = digits(tmp_path / "digits.npz")
    found = run(source, tmp_path / "out")
    table = pd.read_csv(tmp_path / "out" / "ranked.csv", dtype={"given": str, "suggested": str, "path": str})
    assert list(table) == (
        ["rank", "path", "index", "given", "suggested", "flagged"]
        + ["score_cl", "flagged_cl", "score_aum", "flagged_aum", "probability"]
    )
    assert table["rank"].tolist() == list(range(1, 201))
    assert (table.score_aum.diff().dropna() >= 0).all()
    assert sorted(table["index"]) == list(range(200))
    assert (table.given == [str(found.data.labels[n]) for n in table["index"]]).all()
    held = table.suggested.where(table.flagged, table.given)
    expected = pd.crosstab(table.given, held).reindex(columns=list(found.data.classes), fill_value=0)
    np.testing.assert_array_equal(found.noise_matrix, expected)
    pd.testing.assert_frame_equal(
        found.table.drop(columns=["score_cl", "score_aum", "probability"]),
        table.drop(columns=["score_cl", "score_aum", "probability"]),
        check_dtype=False,
    )


def test_errors_to_expect_are_said_and_written(tmp_path, capsys):
    source, wrong = digits(tmp_path / "digits.npz", 400)
    pixels = load_digits().data[:400]
    found = run(source, tmp_path / "out", features=pixels, epochs=20)
    assert found.table.probability.sum() == pytest.approx(wrong.sum(), rel=0.5)
    np.testing.assert_allclose(
        found.table.probability,
        calibration.estimate(found.data.labels, found.probs).probability[found.ranking],
    )
    table = pd.read_csv(tmp_path / "out" / "expected.csv")
    assert list(table) == ["first", "expected", "low", "high", "next", "planted"]
    np.testing.assert_allclose(table.expected, found.table.probability.cumsum(), rtol=1e-3)
    (line,) = (line for line in found.summary if line.startswith("labels expected to be wrong: "))
    first, last = table.iloc[49], table.iloc[-1]
    assert f"{first.expected:.0f} ({first.low:.0f} … {first.high:.0f}) of the first 50;" in line
    assert line.endswith(f"{last.expected:.0f} ({last.low:.0f} … {last.high:.0f}) of all 400")
    assert f"a place to stop: after the first {calibration.stop(table)}," in capsys.readouterr().out
    found = run(source, tmp_path / "out", detector="aum", features=pixels)
    assert not (tmp_path / "out" / "expected.csv").exists()
    assert "probability" not in found.table
    found = run(source, tmp_path / "out", detector="cl", features=np.random.default_rng(0).random((400, 2)))
    assert "how many labels are wrong cannot be estimated from networks that learned little" in found.summary


KILLED = """
import time
from robust_lib.find import search
search.pages.rehearse = lambda classes: None  # matplotlib is slow to import
store = search._store
search._store = lambda *arguments: (store(*arguments), time.sleep(600))
search.find({!r}, {!r}, device="cpu", epochs=2, detector="cl", backbone="none")
"""


def test_a_killed_run_goes_on_to_the_same_result(tmp_path, capsys):
    source, _ = digits(tmp_path / "digits.npz")
    out, first = tmp_path / "out", tmp_path / "out" / "parts" / "fold-1-of-5.npz"
    code = KILLED.format(str(source), str(out))
    child = subprocess.Popen([sys.executable, "-c", code], env=os.environ | {"OMP_NUM_THREADS": "1"})
    while not first.exists() and child.poll() is None:
        time.sleep(0.02)
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    assert json.loads((out / "run.json").read_text())["status"] == "unfinished"
    assert not (out / "ranked.csv").exists()
    stored = first.read_bytes(), first.stat().st_mtime_ns
    resumed = run(source, out, epochs=2, detector="cl")
    said = capsys.readouterr().out
    assert "fold 1 of 5:" not in said
    assert "fold 5 of 5:" in said
    assert (first.read_bytes(), first.stat().st_mtime_ns) == stored
    whole = run(source, tmp_path / "whole", epochs=2, detector="cl")
    np.testing.assert_array_equal(resumed.probs, whole.probs)
    for name in ("ranked.csv", "index.html", "noise_matrix.csv", "thumbs/0000.jpg"):
        assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert json.loads((out / "run.json").read_text())["status"] == "finished"


def trained(capsys):
    lines = capsys.readouterr().out.splitlines()
    return [line.split(":")[0] for line in lines if line.startswith(("fold", "thr"))]


def test_only_parts_of_the_same_run_are_used(tmp_path, monkeypatch, capsys):
    source, _ = digits(tmp_path / "digits.npz")
    out, folds = tmp_path / "out", [f"fold {k} of 5" for k in range(1, 6)]
    run(source, out, detector="cl", epochs=1)
    assert trained(capsys) == folds
    run(source, out, detector="both", epochs=1)
    assert trained(capsys) == ["threshold run 1 of 2", "threshold run 2 of 2"]
    damaged = out / "parts" / "fold-2-of-5.npz"
    damaged.write_bytes(damaged.read_bytes()[:-40])
    run(source, out, detector="cl", epochs=1)
    assert trained(capsys) == ["fold 2 of 5"]
    run(source, out, detector="cl", epochs=1, loss="ce")
    assert trained(capsys) == folds
    digits(source, rate=0.2)
    run(source, out, detector="cl", epochs=1, loss="ce")
    assert trained(capsys) == folds
    monkeypatch.setattr(records, "library_md5", lambda: "of another version")
    run(source, out, detector="cl", loss="ce", epochs=1)
    assert trained(capsys) == folds
    assert json.loads((out / "run.json").read_text())["library_md5"] == "of another version"


@pytest.mark.parametrize(("dims", "inside"), [(2, 1), (4, 2)])
def test_a_head_is_trained_by_one_thread(dims, inside):
    torch.set_num_threads(2)
    inputs = torch.zeros((1,) * dims)
    with search._threads(search.Job(inputs, *[None] * 9)):
        assert torch.get_num_threads() == inside
    assert torch.get_num_threads() == 2


def test_no_backbone_is_loaded_for_a_source_of_features(tmp_path, monkeypatch):
    monkeypatch.setattr(backbones, "load", lambda *_: pytest.fail("loaded"))
    pixels, labels = load_digits(return_X_y=True)
    np.savez(tmp_path / "a.npz", features=pixels[:200], labels=labels[:200])
    found = search.find(tmp_path / "a.npz", tmp_path / "out", epochs=1, detector="cl", progress=False)
    assert found.data.features.shape == (200, 64)


@pytest.mark.parametrize(("size", "channels"), [(1, 1), (8, 1), (28, 1), (33, 3), (64, 3)])
def test_networks_for_every_size(size, channels):
    images = torch.rand(3, channels, size, size)
    one, two, other = (models.build("stride_cnn", images, 7, seed) for seed in (0, 0, 1))
    assert one(images).shape == (3, 7)
    torch.testing.assert_close(one(images), two(images), rtol=0, atol=0)
    assert not torch.equal(one(images), other(images))
    torch.testing.assert_close(models.mlp(5, 2, 0)[0].weight, models.mlp(5, 2, 0)[0].weight, rtol=0, atol=0)


def test_where_it_writes(tmp_path, monkeypatch):
    quick = {"detector": "aum", "epochs": 1}
    root = tmp_path / "pets"
    for seed in range(20):
        save(root / ("cat" if seed < 10 else "dog") / f"{seed}.png", seed)
    before = snapshot(root)
    with pytest.raises(ValueError, match="out must not be inside the input, got .*cat"):
        run(root, root / "cat" / "out")
    with pytest.raises(ValueError, match="out must be a new folder or one of an earlier run, got"):
        run(root, tmp_path)
    monkeypatch.chdir(root / "cat")
    assert run(root, None, **quick).out == tmp_path / "find-pets"
    other, _ = digits(tmp_path / "digits.npz")
    with pytest.raises(ValueError, match="holds the results for .*pets"):
        run(other, tmp_path / "find-pets")
    monkeypatch.chdir(tmp_path)
    assert run(other, None, **quick).out == tmp_path / "find-digits"
    (tmp_path / "more").mkdir()
    namesake, _ = digits(tmp_path / "more" / "digits.npz")
    assert run(namesake, None, **quick).out == tmp_path / "find-digits-2"
    assert run(namesake, None, **quick).out == tmp_path / "find-digits-2"
    assert run(other, None, **quick).out == tmp_path / "find-digits"
    assert snapshot(root) == before


WRONG = {
    ("loss", torch.nn.CrossEntropyLoss()): "or a loss of robust_lib.losses, got CrossEntropyLoss",
    ("epochs", 0): "epochs must be an integer of at least 1, got 0",
    ("seed", -1): "seed must be an integer >= 0, got -1",
    ("device", "gpu"): "device must be auto, cpu, cuda or cuda:N, got 'gpu'",
    ("device", None): "device must be auto, cpu, cuda or cuda:N, got None",
    ("backbone", 3): "backbone must be the name of a network, got 3",
}


def test_a_call_that_is_refused_leaves_a_finished_run_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    source, _ = digits(tmp_path / "digits.npz", count=60)
    run(source, tmp_path / "out", epochs=1, detector="cl")
    before = snapshot(tmp_path / "out")
    with pytest.raises(ValueError, match="device must be auto or cpu where torch finds no CUDA device"):
        run(source, tmp_path / "out", epochs=1, detector="cl", device="cuda")
    assert snapshot(tmp_path / "out") == before


def test_what_cannot_be_done_is_said(tmp_path, monkeypatch, capsys):
    source, _ = digits(tmp_path / "digits.npz")
    with pytest.raises(ValueError, match="detector must be one of cl, aum, both, got 'nn'"):
        run(source, tmp_path / "out", detector="nn")
    with pytest.raises(ValueError, match="^loss must be one of ce, focal, .* got 'mse'"):
        run(source, tmp_path / "out", loss="mse")
    for wrong, message in WRONG.items():
        with pytest.raises(ValueError, match=message):
            run(source, tmp_path / "out", **dict([wrong]))
    assert not (tmp_path / "out").exists()
    monkeypatch.setattr(search, "IMAGES", replace(search.IMAGES, lr=1e30))
    with pytest.raises(ValueError, match="training with ce\\(\\) diverged: take another loss"):
        run(source, tmp_path / "out", loss=losses.ce())


@pytest.mark.parametrize(("source", "got"), [("", "''"), (None, "'NoneType'"), (np.zeros(3), "'ndarray'")])
def test_a_source_is_a_path(tmp_path, monkeypatch, source, got):
    """An empty one would be the working directory."""
    monkeypatch.chdir(tmp_path)
    for what in (search.find, reading.read, reading.list_paths):
        with pytest.raises(ValueError, match=f"^source must be a path, got {got}$"):
            what(source)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("given", ["features", "probs"])
@pytest.mark.parametrize("option", ["backbone", "weights"])
def test_a_backbone_beside_features_is_refused_before_it_is_looked_for(monkeypatch, tmp_path, given, option):
    monkeypatch.setattr(search.backbones, "load", lambda *_: pytest.fail("looked for"))
    with pytest.raises(ValueError, match=f"{option} must be left out where {given} are given, got resnet18"):
        search.find(tmp_path / "list.csv", tmp_path / "out", **{given: np.eye(3), option: "resnet18"})


def test_numpy_s_integers_are_integers(tmp_path):
    source, _ = digits(tmp_path / "digits.npz", count=60)
    whole = {"epochs": 1, "seed": 3}
    found = run(source, tmp_path / "a", detector="cl", **{name: np.int64(n) for name, n in whole.items()})
    assert found.key == run(source, tmp_path / "b", detector="cl", **whole).key


def test_findings_are_shown_in_a_line(tmp_path):
    source, _ = digits(tmp_path / "digits.npz", count=60)
    found = run(source, tmp_path / "out", epochs=1, detector="cl")
    assert (
        repr(found)
        == f"<Findings: {found.flagged.sum()} of {len(found.flagged)} labels flagged, {tmp_path / 'out'}>"
    )


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interrupt_that_python_forgets_comes_again(monkeypatch):
    class Rubbish:
        def __del__(self):
            signal.raise_signal(signal.SIGINT)  # what is raised here is printed, and gone

    def find_slowly(*_, **__):
        Rubbish()
        time.sleep(20)

    monkeypatch.setattr(__main__, "AGAIN", 0.1)
    monkeypatch.setattr("robust_lib.find.find", find_slowly)
    before = signal.getsignal(signal.SIGINT)
    done = CliRunner().invoke(__main__.main, ["find", __file__])
    assert "stopped; the same command goes on from here" in done.output
    assert signal.getsignal(signal.SIGINT) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_failed_trainings_are_named():
    flagged = np.array([True, False])
    only = {"cl": detection.Detection(flagged, np.zeros(2))}
    text = "\n".join(search._verdict(only, flagged, ["learning", "lost", "odd", "lost"]))
    assert "3 of 4 trainings failed (2 lost, 1 odd): do not trust the scores" in text
    assert "failed" not in "\n".join(search._verdict(only, flagged, ["learning"] * 4))


def test_flags_of_aum_that_are_too_many_are_called_no_alarm():
    def said(flags):
        flagged = np.arange(100) < flags
        return "\n".join(search._verdict({"aum": detection.Detection(flagged, np.zeros(100))}, flagged, []))

    assert "aum flags 26 % of the labels. That is no alarm" in said(26)
    assert "no alarm" not in said(25)
    assert said(1).startswith("1 of 100 labels flagged, 1.0 %")


@pytest.mark.parametrize(
    ("counts", "right", "learned"),
    [([990, 10], 990, False), ([990, 10], 997, True), ([500, 500], 610, False), ([100] * 10, 700, True)]
    + [([100] * 10, 450, False)],
)
def test_agreement_is_compared_with_the_largest_class(counts, right, learned):
    labels = np.repeat(np.arange(len(counts)), counts)
    guess = labels.copy()
    guess[right:] = (labels[right:] + 1) % len(counts)
    line = search._agreement_line(np.eye(len(counts))[guess], labels)
    assert f"give {right / 10:.0f} % of the samples" in line
    assert f"the largest class would give {max(counts) / 10:.0f} %" in line
    assert ("they learned little" not in line) == learned


@pytest.mark.parametrize("left", [0, 1])
def test_a_disk_that_was_full_at_the_start_costs_nothing(tmp_path, monkeypatch, left):
    source, _ = digits(tmp_path / "digits.npz")
    written, write = [], records.atomically

    def full(path, content):
        written.append(path)
        if len(written) > left:
            path.with_name(path.name + ".partial").write_bytes(b"{")
            raise OSError(28, "No space left on device")
        write(path, content)

    monkeypatch.setattr(records, "atomically", full)
    with pytest.raises(OSError, match="No space left"):
        run(source, tmp_path / "out", detector="aum", epochs=1)
    monkeypatch.setattr(records, "atomically", write)
    run(source, tmp_path / "out", detector="aum", epochs=1)
    assert (tmp_path / "out" / "index.html").exists()


class Begun(Exception):
    """find has accepted the output folder."""


@pytest.fixture
def begins(tmp_path, monkeypatch):
    """Whether find would begin, or go on, in tmp_path / "out"."""
    source, _ = digits(tmp_path / "digits.npz")

    def begun(_):
        raise Begun

    monkeypatch.setattr(pages, "rehearse", begun)

    def begins():
        with pytest.raises((Begun, ValueError), match="^$|out must be a new folder or one of") as raised:
            run(source, tmp_path / "out")
        return raised.type is Begun

    return begins


@pytest.mark.parametrize(
    ("names", "begun"),
    [
        ("", True),
        ("parts/fold-1-of-5.npz", True),
        ("parts/fold-1-of-5.npz.partial run.json.partial", True),
        ("parts/mine.txt", False),
        ("run.sh", False),
        ("index.html", False),
        ("run.json", True),
    ],
)
def test_only_folders_of_a_run_count_as_begun(tmp_path, begins, names, begun):
    (tmp_path / "out" / "parts").mkdir(parents=True)
    for name in names.split():
        (tmp_path / "out" / name).write_bytes(b"")
    assert begins() == begun


@pytest.mark.parametrize(
    ("content", "alone", "beside_parts"),
    [
        ('{"my": "results"}', False, False),
        ("[1]", False, False),
        ("null", False, False),
        ("my notes", False, True),
        ("\0\0", True, True),
        ('{"tool": "robust_lib find"}', True, True),
        ('{"source": "SOURCE"}', False, False),
    ],
)
def test_a_record_of_something_else_is_left_alone(tmp_path, begins, content, alone, beside_parts):
    (tmp_path / "out").mkdir()
    content = content.replace("SOURCE", str((tmp_path / "digits.npz").resolve()))
    (tmp_path / "out" / "run.json").write_text(content)
    assert begins() == alone
    (tmp_path / "out" / "parts").mkdir()
    assert begins() == beside_parts


def test_a_file_is_no_output_folder(tmp_path, begins):
    (tmp_path / "out").write_bytes(b"")
    assert not begins()


@pytest.mark.parametrize("samples", [10, 300, 1000, 3000, 5000, 25_000, 100_000])
def test_every_fold_gets_its_steps(tmp_path, samples):
    features = np.random.default_rng(0).normal(size=(samples, 4))
    np.savez(tmp_path / "f.npz", features=features, labels=np.arange(samples) % 2)
    recipe = search._job(reading.read(tmp_path / "f.npz"), losses.ce(), None, 0, "cpu", False).recipe
    batches = -(-samples * 4 // 5 // recipe.batch_size)
    assert recipe.epochs * batches >= 600
    assert recipe.epochs >= 10
    assert recipe.batch_size == (256 if samples >= 25_000 else 64)
    assert recipe.epochs == 10 or recipe.epochs * batches < 600 + batches


@pytest.mark.parametrize(("name", "noted"), [("=1+2", 1), ("@x", 1), ("-b", 1), ("-1", 0), ("b=1", 0)])
def test_names_that_spreadsheets_compute_are_said(tmp_path, name, noted):
    np.savez(tmp_path / "f.npz", features=np.eye(4), labels=[name, "0", name, "0"])
    data = reading.read(tmp_path / "f.npz")
    assert name in data.classes
    assert [name in note for note in search._formula_note(data)] == [True] * noted


def test_what_cannot_be_drawn_fails_before_training(tmp_path, monkeypatch):
    source, _ = digits(tmp_path / "digits.npz")

    def cannot(*_):
        raise RuntimeError("no such glyph")

    monkeypatch.setattr(pages, "_matrix_figure", cannot)
    monkeypatch.setattr(training, "fit", lambda *_, **__: pytest.fail("trained first"))
    with pytest.raises(RuntimeError, match="no such glyph"):
        run(source, tmp_path / "out")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_a_narrow_terminal_gets_what_it_can_write(monkeypatch, encoding):
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict")
    monkeypatch.setattr(sys, "stdout", stream)
    search._say("32 × 32 … 猫", "look")
    assert stream.buffer.getvalue().decode(encoding).split("\n")[1] == "look"
    assert b"32 " in stream.buffer.getvalue()


def test_a_terminal_that_is_gone_does_not_end_the_run(tmp_path, monkeypatch):
    source, _ = digits(tmp_path / "digits.npz")

    class Gone(io.StringIO):
        def write(self, text):
            raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr(sys, "stdout", Gone())
    run(source, tmp_path / "out", detector="aum", epochs=1)
    assert (tmp_path / "out" / "index.html").exists()


def test_features_rank_no_worse_than_logistic_regression(tmp_path, capsys):
    """The ranking is that of the margin, with the detector "aum" as with both; features of any size are the
    same to the networks."""
    rng = np.random.default_rng(0)
    true = np.arange(240) % 4
    flips = noise.corrupt(true, noise.uniform(4, 0.1), seed=0)
    features = 6 * np.eye(4)[true] @ rng.normal(size=(4, 20)) + rng.normal(size=(240, 20))
    features[7] = 1e8
    for factor in (1e-8, 1e40, 1):
        np.savez(tmp_path / f"{factor}.npz", features=features * factor, labels=flips.labels)
    found = search.find(tmp_path / "1.npz", tmp_path / "out", detector="aum", device="cpu", progress=False)
    assert "240 features of 20 numbers, 4 classes, no problem in 1.npz" in capsys.readouterr().out
    for factor in (1e-8, 1e40):
        same = reading.read(tmp_path / f"{factor}.npz").features
        torch.testing.assert_close(same, found.data.features, rtol=0, atol=1e-5)
    wrong, probs = flips.mask.numpy(), np.zeros((240, 4))
    for train, held in detection.split(flips.labels, 5, 0):
        peer = LogisticRegression(max_iter=1000).fit(found.data.features[train], flips.labels[train])
        probs[held] = peer.predict_proba(found.data.features[held])
    order = confident.rank(flips.labels, probs).argsort()
    assert wrong[found.ranking[:15]].mean() >= max(0.9, wrong[order[:15]].mean())


def test_the_command(tmp_path, monkeypatch):
    source, _ = digits(tmp_path / "digits.npz")
    command = ["find", str(source), "--out", str(tmp_path / "out"), "--epochs", "1", "--device", "cpu"]
    command += ["--backbone", "none"]
    done = CliRunner().invoke(__main__.main, [*command, "--detector", "aum"])
    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[0] == "200 images, 10 classes, no problem in digits.npz"
    assert done.output.splitlines()[-1].endswith("index.html")
    failed = CliRunner().invoke(__main__.main, [*command, "--loss", "mse"])
    assert failed.exit_code == 1
    assert failed.output.startswith("Error: loss must be one of")

    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "fit", stop)
    stopped = CliRunner().invoke(__main__.main, [*command, "--loss", "ce"])
    assert stopped.exit_code == 1
    assert "stopped; the same command goes on from here" in stopped.output


def test_the_command_lists_the_order_of_features(tmp_path):
    for seed, name in enumerate(("cat/b.png", "cat/old/a.png", "cat/z.png", "dog/1.png")):
        save(tmp_path / "pets" / name, seed)
    done = CliRunner().invoke(__main__.main, ["find", str(tmp_path / "pets"), "--list"])
    assert done.output.splitlines() == ["cat/b.png", "cat/old/a.png", "cat/z.png", "dog/1.png"]
    np.save(tmp_path / "f.npy", np.eye(4))
    command = ["find", str(tmp_path / "pets"), "--out", str(tmp_path / "out")]
    command += ["--features", str(tmp_path / "f.npy")]
    refused = CliRunner().invoke(__main__.main, command)
    assert refused.exit_code == 1
    assert "say which by paths" in refused.output
    taken = CliRunner().invoke(__main__.main, [*command, "--paths", "sorted", "--missing", "x"])
    assert "at least two classes are needed" in taken.output  # the order is accepted; 4 samples are too few
    (tmp_path / "texts.csv").write_text("label,text\na,one\nb,two\n")
    nothing = CliRunner().invoke(__main__.main, ["find", str(tmp_path / "texts.csv"), "--list"])
    assert nothing.exit_code == 1
    assert "which holds no paths" in nothing.output
