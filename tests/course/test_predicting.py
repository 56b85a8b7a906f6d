"""Predict, then run: a guess is taken, compared, and never stops a notebook."""

import numpy as np
import pytest
import torch

from robust_lib.course import checks


def printed(capsys) -> str:
    return capsys.readouterr().out.strip()


@pytest.mark.parametrize("guess", [..., None])
def test_without_a_guess_the_notebook_goes_on(guess, capsys):
    prediction = checks.predict(guess, low=0, high=1)
    assert printed(capsys) == "no guess yet: write one in place of the dots, or run on"
    prediction.compare(torch.tensor(0.25))
    assert printed(capsys) == "measured: 0.25"


def test_a_number_is_close_or_off(capsys):
    prediction = checks.predict(0.3, low=0, high=1)
    assert printed(capsys) == "your guess: 0.3"
    prediction.compare(0.25, within=0.1)
    assert printed(capsys) == "your guess: 0.3; measured: 0.25; close"
    prediction.compare(0.9, within=0.1)
    assert printed(capsys) == "your guess: 0.3; measured: 0.9; off by 0.6"


def test_large_numbers_have_no_exponent(capsys):
    prediction = checks.predict(1000, low=0)
    prediction.compare(3018.4, within=500)
    assert printed(capsys).splitlines()[1] == "your guess: 1000; measured: 3018; off by 2018"


def test_a_word_is_right_or_not(capsys):
    prediction = checks.predict("CE", among=("CE", "MAE"))
    prediction.compare("CE")
    prediction.compare("MAE")
    assert printed(capsys).splitlines()[1:] == [
        "your guess: CE; measured: CE; as you said",
        "your guess: CE; measured: MAE; not as you said",
    ]


@pytest.mark.parametrize(
    ("guess", "kinds", "words"),
    [
        ("many", {"low": 0, "high": 1}, "a guess is a number from 0 up to 1; this is 'many'"),
        (1.5, {"low": 0, "high": 1}, "a guess is a number from 0 up to 1; this is 1.5"),
        (float("nan"), {}, "a guess is a number; this is nan"),
        (True, {"low": 0}, "a guess is a number from 0; this is True"),
        (0.5, {"among": ("CE", "MAE")}, "a guess is one of CE, MAE; this is 0.5"),
        ("GCE", {"among": ("CE", "MAE")}, "a guess is one of CE, MAE; this is 'GCE'"),
        (np.ones(2), {"among": ("CE", "MAE")}, "a guess is one of CE, MAE; this is array([1., 1.])"),
    ],
)
def test_a_guess_of_another_kind_gets_a_sentence_and_counts_as_none(guess, kinds, words, capsys):
    prediction = checks.predict(guess, **kinds)
    assert printed(capsys) == words
    assert prediction.value is None
