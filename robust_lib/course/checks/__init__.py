"""Checks for the exercises: right, a hint, or "not attempted". They print and never stop a notebook.

    check("01.2", gce_peak)
    guess = predict(..., among=("ce", "mae"))    before a result, and guess.compare("ce") after it

The graders of chapter 01 are in chapter01.py, and so on.
"""

from robust_lib.course.checks import (
    chapter01,
    chapter02,
    chapter03,
    chapter04,
    chapter05,
    chapter06,
    chapter07,
    chapter08,
    chapter09,
    chapter10,
    chapter11,
    chapter12,
    chapter13,
    chapter14,
    chapter15,
    chapter16,
    chapter17,
    chapter18,
)
from robust_lib.course.checks.grading import GRADERS, called, check, equal, grader
from robust_lib.course.checks.predicting import Prediction, predict
