"""How an answer is judged. The chapters' graders register themselves here.

A grader takes the learner's answer and returns "" when it is right. Otherwise it returns what helps: a
sentence about a slip that it recognises, or a tuple of three hints, from a nudge to nearly the answer. Each
miss shows the next hint, so no first miss gives the answer away. The tests run notebooks/solutions/ through
the graders that the learner meets.
"""

from collections.abc import Callable

import torch

GRADERS: dict[str, Callable] = {}
SLIPS = {  # words of torch's or numpy's message: what it says to the learner
    "is ambiguous": "`if`, `and`, `or`, `min` and `max` decide about one number, and here are many: "
    "torch.where(condition, a, b), or np.where for arrays, decides for each",
    "converted to Python scalars": "a function of `math` takes one number, and here are many: "
    "use the tensor's or array's own, such as x.log() or np.log(x)",
    "must be Tensor, not": "torch's functions take tensors, and here is a plain number: "
    "use the one of `math`, such as math.log(x)",
}
_misses: dict[str, int] = {}  # how many hints of a tuple each exercise has shown in this kernel


def check(exercise: str, answer) -> str:
    """Print the verdict on an answer (a value or a function) to exercise "01.2"; returns "right", "wrong" or
    "not attempted". An answer that is `...` or None, or a function that returns one, was not attempted.

    Raises ValueError only for an exercise that does not exist.
    """
    if exercise not in GRADERS:
        raise ValueError(f"no exercise is called {exercise!r}; there are {', '.join(GRADERS)}")
    try:
        help_ = "" if answer is ... or answer is None else GRADERS[exercise](answer)
        verdict = "not attempted" if answer is ... or answer is None else "wrong" if help_ else "right"
    except _NotAttemptedError:
        help_, verdict = "", "not attempted"
    except Misfit as misfit:
        help_, verdict = str(misfit), "wrong"
    except Exception as error:  # whatever the learner's code raises is a wrong answer, not an accident
        help_, verdict = _in_words(error), "wrong"
    print(f"exercise {exercise}: {verdict}" + _hint(exercise, help_))
    return verdict


def _in_words(error: Exception) -> str:
    """What to do about an error in which torch or numpy speaks of its insides; any other error as it is."""
    told = (sentence for words, sentence in SLIPS.items() if words in str(error))
    return next(told, f"it raised {type(error).__name__}: {error}")


def _hint(exercise: str, help_: str | tuple[str, ...]) -> str:
    """The words after the verdict; the next hint of a tuple, its last one again and again."""
    if not isinstance(help_, tuple):
        return f". Hint: {help_}" if help_ else ""
    _misses[exercise] = number = min(_misses.get(exercise, 0) + 1, len(help_))
    return f". Hint {number} of {len(help_)}: {help_[number - 1]}"


class _NotAttemptedError(Exception):
    """The learner's function returned `...` or None."""


class Misfit(Exception):
    """The answer is of another kind than the one asked for; the message is a sentence for the learner."""


def grader(exercise: str) -> Callable:
    """Register a function answer -> "", a sentence or a tuple of hints for this exercise."""

    def register(function: Callable) -> Callable:
        GRADERS[exercise] = function
        return function

    return register


def called(answer: Callable, *arguments, shape: tuple[int, ...] | None = None):
    """The learner's function on these arguments; a stub's `...` or None means "not attempted".

    shape: what comes back must be numbers of this shape, () for one number. Raises Misfit where it is not, or
    where the answer is no function.
    """
    if not callable(answer):
        raise Misfit(f"a function is asked for; this is {_kind(answer)}")
    result = answer(*arguments)
    if result is ... or result is None:
        raise _NotAttemptedError
    if shape is not None:
        numbers(result, shape)
    return result


def numbers(result, shape: tuple[int, ...] | None = None) -> torch.Tensor:
    """Numbers as a float64 tensor; Misfit where they are none, or not of this shape."""
    try:
        values = torch.as_tensor(result, dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError):
        asked = "numbers" if shape is None else _shape(shape)
        raise Misfit(f"the answer must be {asked}; this is {_kind(result)}") from None
    if shape is not None and values.shape != shape:
        raise Misfit(f"the answer must be {_shape(shape)}; this is {_shape(tuple(values.shape))}")
    return values


def some_of(answer, names: set[str]) -> str:
    """The hint for an answer that is no set of some of these names, otherwise ""."""
    if isinstance(answer, set) and answer <= names:
        return ""
    return f"give a set of some of: {', '.join(sorted(names))}"


def one_of(answer, names: tuple[str, ...]) -> str:
    """The hint for an answer that is none of these names, otherwise ""."""
    if isinstance(answer, str) and answer in names:
        return ""
    return f"give one of: {', '.join(map(repr, names))}"


def equal(result, expected, tolerance: float = 1e-6) -> bool:
    """Whether two numbers or tensors agree in shape and, up to the tolerance, in value.

    Raises Misfit where the result is no numbers at all.
    """
    result, expected = numbers(result), torch.as_tensor(expected, dtype=torch.float64)
    return result.shape == expected.shape and torch.allclose(result, expected, rtol=tolerance, atol=tolerance)


def _kind(value) -> str:
    name = "function" if callable(value) else type(value).__name__
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def _shape(shape: tuple[int, ...]) -> str:
    if len(shape) < 2:
        return f"a row of {shape[0]} numbers" if shape else "one number"
    return f"a table of shape {shape}"
