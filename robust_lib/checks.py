"""Checks for the exercises: right, a hint, or "not attempted"; they print and never stop a notebook.

A grader takes the learner's answer and returns "" when it is right, else a hint. Graders live here, one
section a chapter, so that notebooks/solutions/ is judged by the very checks the learner meets.
"""

from collections.abc import Callable

import torch

GRADERS: dict[str, Callable] = {}


def check(exercise: str, answer) -> str:
    """Print the verdict on an answer (a value or a function) to exercise "01.2"; returns "right", "wrong" or
    "not attempted". An answer that is `...` or None, or a function that returns one, was not attempted.

    Raises ValueError only for an exercise that does not exist.
    """
    if exercise not in GRADERS:
        raise ValueError(f"no exercise is called {exercise!r}; there are {', '.join(GRADERS)}")
    try:
        hint = "" if answer is ... or answer is None else GRADERS[exercise](answer)
        verdict = "not attempted" if answer is ... or answer is None else "wrong" if hint else "right"
    except _NotAttemptedError:
        hint, verdict = "", "not attempted"
    except Exception as error:  # whatever the learner's code raises is a wrong answer, not an accident
        hint, verdict = f"it raised {type(error).__name__}: {error}", "wrong"
    print(f"exercise {exercise}: {verdict}" + (f". Hint: {hint}" if hint else ""))
    return verdict


class _NotAttemptedError(Exception):
    """The learner's function returned `...` or None."""


def grader(exercise: str) -> Callable:
    """Register a function answer -> hint ("" when right) for this exercise."""

    def register(function: Callable) -> Callable:
        GRADERS[exercise] = function
        return function

    return register


def called(answer: Callable, *arguments):
    """The learner's function on these arguments; a stub's `...` or None means "not attempted"."""
    result = answer(*arguments)
    if result is ... or result is None:
        raise _NotAttemptedError
    return result


def equal(result, expected, tolerance: float = 1e-6) -> bool:
    """Whether two numbers or tensors agree in shape and, up to the tolerance, in value."""
    result, expected = (torch.as_tensor(x, dtype=torch.float64) for x in (result, expected))
    return result.shape == expected.shape and torch.allclose(result, expected, rtol=tolerance, atol=tolerance)


# --- chapter 01 ---------------------------------------------------------------------------------------

_P = torch.linspace(0.01, 0.99, 99, dtype=torch.float64)


@grader("01.1")
def _weight_of_a_square(answer):
    weight = called(answer, _P)
    if equal(weight, 2 * (1 - _P)):
        return "that is -dl/dp; the sigmoid's derivative p(1-p) still has to be multiplied in"
    if equal(weight, -2 * _P * (1 - _P) ** 2):
        return "the size is right and the sign is not: w = -dl/dΔ is positive when it pulls the label up"
    right = equal(weight, 2 * _P * (1 - _P) ** 2)
    return "" if right else "differentiate (1-p)^2 by p, then apply w = -l'(p) p (1-p)"


@grader("01.2")
def _gce_peak(answer):
    peak = called(answer, 0.7)
    if equal(peak, (0.7 / 1.7) ** 0.7 / 1.7):
        return "that is a weight, the largest; asked is the p_y at which it is reached"
    right = all(equal(called(answer, q), q / (1 + q)) for q in (0.1, 0.5, 0.7, 1.0))
    return "" if right else "set the derivative of p^q (1-p) to zero: q (1-p) = p"


@grader("01.3")
def _losses_that_push_away(answer):
    if not isinstance(answer, set | list | tuple | frozenset):
        return "give a set of names, for example {'ce', 'mae'}"
    if set(answer) - {"ce", "mae", "gce", "focal", "blurry", "blurry stopped", "piecewise_zero"}:
        return "use the names ce, mae, gce, focal, blurry, blurry stopped, piecewise_zero"
    if "piecewise_zero" in answer:
        return "Piecewise-zero's weight is zero below c: it ignores, it does not push"
    return "" if set(answer) == {"blurry"} else "look for a weight curve that goes below zero"
