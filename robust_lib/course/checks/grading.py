"""How an answer is judged. The chapters' graders register themselves here.

A grader takes the learner's answer and returns "" when it is right, otherwise a hint. The tests run
notebooks/solutions/ through the very graders that the learner meets.
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


def some_of(answer, names: set[str]) -> str:
    """The hint for an answer that is no set of some of these names, otherwise ""."""
    if isinstance(answer, set) and answer <= names:
        return ""
    return f"give a set of some of: {', '.join(sorted(names))}"


def equal(result, expected, tolerance: float = 1e-6) -> bool:
    """Whether two numbers or tensors agree in shape and, up to the tolerance, in value."""
    result, expected = (torch.as_tensor(x, dtype=torch.float64) for x in (result, expected))
    return result.shape == expected.shape and torch.allclose(result, expected, rtol=tolerance, atol=tolerance)
