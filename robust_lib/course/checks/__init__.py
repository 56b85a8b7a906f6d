"""Checks for the exercises: right, a hint, or "not attempted". They print and never stop a notebook.

    check("01.2", gce_peak)

The graders of chapter 01 are in chapter01.py, and so on.
"""

from robust_lib.course.checks import (
    chapter01,
    chapter02,
    chapter03,
    chapter04,
    chapter10,
    chapter11,
    chapter12,
    chapter13,
    chapter14,
)
from robust_lib.course.checks.grading import GRADERS, called, check, equal, grader
