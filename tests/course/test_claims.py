"""Claims: what passes, what fails, what the report shows and what it leaves for the runner."""

import numpy as np
import pytest
import torch

from robust_lib.course.claims import METADATA_KEY, Claims, _Report


def verdicts(claims):
    return claims.table()["result"].tolist()


def test_bounds_are_inclusive_and_a_step_beyond_fails():
    claims = Claims()
    claims.close("abs in", 1.25, 1, abs=0.25)
    claims.close("abs out", 1.2500001, 1, abs=0.25)
    claims.close("rel in", -90, -100, rel=0.1)
    claims.close("rel out", -89.9, -100, rel=0.1)
    claims.at_least("low in", 2, 2)
    claims.at_least("low out", 1.999, 2)
    claims.at_most("high in", 2, 2)
    claims.at_most("high out", 2.001, 2)
    claims.between("between in", 3, 2, 3)
    claims.between("between out", 3.001, 2, 3)
    claims.true("true in", True)
    claims.true("true out", False)
    assert verdicts(claims) == ["PASS", "FAIL"] * 6


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_not_finite_never_passes(bad):
    claims = Claims()
    claims.close("close", bad, 1, abs=1e300)
    claims.at_least("at least", bad, -1e300)
    claims.at_most("at most", bad, 1e300)
    claims.between("between", bad, -1e300, 1e300)
    assert verdicts(claims) == ["FAIL"] * 4


def test_scalars_of_numpy_and_torch_are_measured():
    claims = Claims()
    claims.close("numpy", np.float32(0.5), 0.5, abs=0)
    claims.at_least("torch", torch.tensor(3), 3)
    claims.true("numpy bool", np.bool_(True))
    claims.true("torch bool", torch.tensor(2) > 1)
    assert verdicts(claims) == ["PASS"] * 4


def test_report_of_passing_claims_hides_measured_values(capsys):
    claims = Claims()
    claims.close("largest weight", 0.123456, 0.12, abs=0.01)
    claims.at_least("gain (points)", 98765.4, 2)
    claims.report()
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "claim           required     result",
        "largest weight  0.12 ± 0.01  PASS",
        "gain (points)   at least 2   PASS",
        "claims: 2/2 passed",
    ]


def test_report_leaves_counts_in_the_output_metadata():
    claims = Claims()
    claims.at_most("holds", 1, 2)
    claims.at_most("fails", 3, 2)
    data, metadata = _Report(claims._claims)._repr_mimebundle_()
    assert list(data) == ["text/plain"]
    assert metadata == {METADATA_KEY: {"passed": 1, "total": 2}}


def test_failed_claims_are_listed_with_what_was_measured(capsys):
    claims = Claims()
    claims.at_least("gain", 1.23456, 2)
    claims.true("sorted", False)
    claims.true("ran", True)
    message = "2 of 3 claims failed: gain: measured 1.235, required at least 2; sorted: measured False"
    with pytest.raises(AssertionError, match=message):
        claims.report()
    assert "gain    at least 2  FAIL" in capsys.readouterr().out


def test_no_claims_is_a_failure(capsys):
    with pytest.raises(AssertionError, match="no claims were made"):
        Claims().report()
    assert "claims: 0/0 passed" in capsys.readouterr().out


def test_table_shows_measured_values():
    claims = Claims()
    claims.between("rate", 0.3987654, 0.39, 0.41)
    assert claims.table().values.tolist() == [["rate", "0.3988", "0.39 to 0.41", "PASS"]]


WRONG = {
    "no tolerance": (lambda c: c.close("x", 1, 1), "claim 'x': give abs or rel, one of them"),
    "two tolerances": (lambda c: c.close("x", 1, 1, abs=1, rel=1), "give abs or rel, one of them"),
    "negative tolerance": (lambda c: c.close("x", 1, 1, abs=-1), "tolerance must be finite and not negative"),
    "nan tolerance": (lambda c: c.close("x", 1, 1, rel=float("nan")), "tolerance must be finite and not neg"),
    "nan bound": (lambda c: c.at_least("x", 1, float("nan")), "claim 'x': bound must be finite; got nan"),
    "crossed bounds": (lambda c: c.between("x", 1, 3, 2), "low must not exceed high; got low=3, high=2"),
    "array": (lambda c: c.at_most("x", np.ones(3), 2), "measured must be one number; got ndarray"),
    "tensor": (lambda c: c.at_most("x", torch.ones(3), 2), "measured must be one number; got Tensor"),
    "text": (lambda c: c.at_most("x", "1", 2), "measured must be one number; got str"),
    "not a bool": (lambda c: c.true("x", [True]), "condition must be a bool; got list"),
    "number as bool": (lambda c: c.true("x", 1), "condition must be a bool; got int"),
    "no name": (lambda c: c.true(" ", True), "name: a claim needs a name; got ' '"),
    "name twice": (lambda c: c.true("first", True), "claim 'first' was made before"),
}


@pytest.mark.parametrize(("call", "message"), WRONG.values(), ids=WRONG.keys())
def test_wrong_input_is_named(call, message):
    claims = Claims()
    claims.true("first", True)
    with pytest.raises(ValueError, match=message):
        call(claims)
    assert len(claims.table()) == 1
