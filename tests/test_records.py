"""Records on disk: whole lines, one writer, nothing lost."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from robust_lib import records
from robust_lib.records import read


def line(key, status="done", **more):
    return {"key": key, "status": status} | more


def test_appended_records_are_read_again(tmp_path):
    path = records.path_of("some", "small", tmp_path)
    assert path == tmp_path / "small" / "some.jsonl"
    assert read("some", "small", tmp_path) == []
    with records.appending(path) as (known, append):
        assert known == {}
        append(line("a", value=0.1, none=float("nan"), far=float("inf"), curve=[1.0, float("nan")]))
        assert read("some", "small", tmp_path)[0]["value"] == 0.1  # on the disk at once
        append(line("b"), line("c"))
    found = read("some", "small", tmp_path)
    first = line("a", value=0.1, none=None, far=None, curve=[1.0, None])
    assert found == [first, line("b"), line("c")]
    assert path.read_bytes().count(b"\n") == 3


def test_a_finished_record_beats_a_failed_one(tmp_path):
    path = records.path_of("some", "paper", tmp_path)
    for rows in (["failed", "done"], ["done", "failed"]):
        path.write_text("".join(json.dumps(line("a", status)) + "\n" for status in rows))
        assert read("some", folder=tmp_path) == [line("a", "done")]


def test_a_last_line_without_its_newline_is_whole(tmp_path):
    path = tmp_path / "some.jsonl"
    path.write_text(json.dumps(line("a")))
    with records.appending(path) as (known, append):
        append(line("b"))
    assert list(known) == ["a"]
    assert read("some", folder=tmp_path) == [line("a"), line("b")]


def test_a_full_disk_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "some.jsonl"
    with records.appending(path) as (_, append):
        append(line("a"))
        before = path.read_bytes()
        monkeypatch.setattr(records.os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            append(line("b"))
    assert path.read_bytes() == before
    assert sorted(file.name for file in tmp_path.iterdir()) == ["some.jsonl", "some.jsonl.lock"]


def full(descriptor):
    raise OSError(28, "No space left on device")


def test_a_broken_line_in_the_middle_is_named(tmp_path):
    (tmp_path / "some.jsonl").write_text(
        json.dumps(line("a")) + "\n<<<<<<< HEAD\n" + json.dumps(line("b")) + "\n"
    )
    with pytest.raises(ValueError, match=r"some.jsonl line 2 is not a record: b'<<<<<<< HEAD'"):
        read("some", folder=tmp_path)


def test_two_sweeps_cannot_write_at_once(tmp_path):
    path = tmp_path / "some.jsonl"
    with (
        records.appending(path),
        pytest.raises(RuntimeError, match="another sweep is writing .*some.jsonl"),
        records.appending(path),
    ):
        pass
    with records.appending(path):  # and the lock is gone
        pass


def test_two_writers_of_one_file_do_not_meet(tmp_path):
    def write(n):
        for _ in range(50):
            records.atomically(tmp_path / "page.html", str(n) * 1000)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    assert len(set((tmp_path / "page.html").read_text())) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


def test_a_file_that_cannot_be_written_leaves_nothing_behind(tmp_path):
    (tmp_path / "page.html").mkdir()
    with pytest.raises(OSError, match=r"page\.html"):
        records.atomically(tmp_path / "page.html", "text")
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


def test_a_link_to_the_file_and_its_mode_stay(tmp_path):
    file, link = tmp_path / "far" / "some.jsonl", tmp_path / "some.jsonl"
    file.parent.mkdir()
    file.touch(mode=0o600)
    link.symlink_to(file)
    with records.appending(link) as (_, append):
        append(line("a"))
    assert link.is_symlink()
    assert json.loads(file.read_text()) == line("a")
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "text", ['{"key": "a", "sta', '{"status": "done"}', '{"key": ["a"], "status": "done"}', "7"]
)
def test_a_line_that_is_no_record_is_named_with_what_to_do(tmp_path, text):
    (tmp_path / "some.jsonl").write_text(json.dumps(line("b")) + "\n" + text)
    with pytest.raises(ValueError, match=r"line 2 is not a record: .* delete it, and its trial runs again"):
        read("some", folder=tmp_path)


def test_fill_measures_what_is_not_recorded_and_goes_on_after_an_error(tmp_path, capsys):
    path, asked = tmp_path / "some.jsonl", []

    def measure(run):
        asked.append(run["n"])
        if run["n"] == 2 and asked.count(2) == 1:
            raise RuntimeError("stopped")
        return {"square": run["n"] ** 2}

    runs = {f"run {n}": {"n": n} for n in (1, 2, 3)}
    with pytest.raises(RuntimeError, match="stopped"):
        records.fill(path, runs, measure)
    records.fill(path, runs, measure)
    assert asked == [1, 2, 2, 3]
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(row["key"], row["status"], row["square"]) for row in rows] == [
        ("run 1", "done", 1),
        ("run 2", "done", 4),
        ("run 3", "done", 9),
    ]
    assert all(row["commit"] == records.commit()["commit"] and "torch" in row for row in rows)
    assert capsys.readouterr().out == "run 1\nrun 2\nrun 3\n"


def test_fill_records_the_device_that_it_is_given(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"the GPU {device}")
    path = tmp_path / "made.jsonl"
    records.fill(path, {"one": {}}, lambda run: {"ms": 1.0}, torch.device("cuda:1"))
    record = json.loads(path.read_text())
    assert record["device"] == "the GPU cuda:1"
    assert record["tf32"] in (True, False)
