"""How an answer is judged. The chapters' graders register themselves here.

A grader takes the learner's answer and returns "" when it is right. Otherwise it returns what helps: a
sentence about a slip that it recognises, or a tuple of three hints, from a nudge to nearly the answer. Each
miss shows the next hint, so no first miss gives the answer away. The tests run notebooks/solutions/ through
the graders that the learner meets.
"""

import copy
import math
from collections.abc import Callable

import numpy as np
import torch

GRADERS: dict[str, Callable] = {}
SLIPS = {  # words of torch's or numpy's message: what it says to the learner; the first that is met counts
    "is ambiguous": "`if`, `and`, `or`, `not`, `min` and `max` decide about one number, and here are many: "
    "torch.where(condition, a, b), or np.where for arrays, decides for each; ~mask turns a mask around",
    "converted to Python scalars": "a function of `math`, float() and torch.tensor([...]) take single "
    "numbers, and here are many: use the tensor's or array's own, such as x.log() or np.log(x); "
    "torch.stack joins rows",
    "must be Tensor, not numpy": "torch's functions take tensors, and here is a numpy array: "
    "use numpy's, such as np.log(x), or the array's own, such as x.mean()",
    "must be Tensor, not list": "torch's functions take tensors, and here is a list: "
    "use Python's own, such as sum(x), or torch.tensor(x)",
    "must be Tensor, not": "torch's functions take tensors, and here is a plain number: "
    "use the one of `math`, such as math.log(x)",
    "invalid combination of arguments": "torch's and numpy's functions do not mix here: give torch's a "
    "tensor or a number in each place, and numpy's an array",
    "must match the size": "the shapes do not fit each other: keepdim=True keeps a row or a column of means "
    "in its place, such as x.mean(1, keepdim=True)",
    "could not be broadcast": "the shapes do not fit each other: keepdims=True keeps a row or a column of "
    "means in its place, such as x.mean(1, keepdims=True)",
    "name 'math' is not defined": "write `import math` above the function: it is a part of Python",
}
UNFILLED = "one of the places still holds `...` or None"
_misses: dict[str, int] = {}  # how many hints of a tuple each exercise has shown in this kernel


def check(exercise: str, answer) -> str:
    """Print the verdict on an answer (a value or a function) to exercise "01.2"; returns "right", "wrong" or
    "not attempted". An answer that is `...` or None, or a function that returns `...`, was not attempted.

    Raises ValueError only for an exercise that does not exist.
    """
    if exercise not in GRADERS:
        raise ValueError(f"no exercise is called {exercise!r}; there are {', '.join(GRADERS)}")
    try:
        if answer is ... or answer is None:
            raise _NotAttemptedError
        help_ = UNFILLED if _unfilled(answer) else GRADERS[exercise](answer)
        verdict = "wrong" if help_ else "right"
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
    """The answer, or what the learner's function returned, is `...`."""


class Misfit(Exception):
    """The answer is of another kind than the one asked for; the message is a sentence for the learner."""


def grader(exercise: str) -> Callable:
    """Register a function answer -> "", a sentence or a tuple of hints for this exercise."""

    def register(function: Callable) -> Callable:
        GRADERS[exercise] = function
        return function

    return register


def called(answer: Callable, *arguments, shape: tuple[int, ...] | None = None):
    """The learner's function on copies of these arguments; a stub's `...` means "not attempted".

    shape: what comes back must be numbers of this shape, () for one number. Raises Misfit where it is not,
    where nothing comes back, or where the answer is no function.
    """
    if not callable(answer):
        raise Misfit(f"a function is asked for; this is {_kind(answer)}")
    result = answer(*copy.deepcopy(arguments))  # it may change in place what it is given
    if result is ...:
        raise _NotAttemptedError
    if result is None:
        raise Misfit("for some arguments the function returns nothing: is there a `return` on every way?")
    if shape is not None:
        numbers(result, shape)
    return result


def numbers(result, shape: tuple[int, ...] | None = None) -> torch.Tensor:
    """Numbers as a float64 tensor; Misfit where they are none, or not of this shape."""
    try:
        values = _tensor(result)
    except (TypeError, ValueError, RuntimeError):
        if _unfilled(result):
            raise Misfit(UNFILLED) from None
        asked = "numbers" if shape is None else _shape(shape)
        raise Misfit(f"the answer must be {asked}; this is {_kind(result)}") from None
    if shape is not None and values.shape != shape:
        raise Misfit(f"the answer must be {_shape(shape)}; this is {_shape(tuple(values.shape))}")
    return values


def _unfilled(value) -> bool:
    """Whether a list, a tuple or a dict still holds `...` or None."""
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return any(one is ... or one is None for one in inside)


def _tensor(result) -> torch.Tensor:
    """As float64; rows in a list may be lists, tensors or arrays."""
    if isinstance(result, list | tuple):
        return torch.stack([_tensor(one) for one in result])
    # torch takes no array with a negative stride, and warns of one that is read-only.
    given = np.array(result) if isinstance(result, np.ndarray) else result
    return torch.as_tensor(given, dtype=torch.float64)


def some_of(answer, names: set[str]) -> str:
    """The hint for an answer that is no set of some of these names, otherwise ""."""
    asked = f"give a set of some of: {', '.join(sorted(names))}"
    if not isinstance(answer, set | frozenset):
        return f"{asked}; this is {_kind(answer)}, and a set has braces"
    return "" if answer <= names else asked


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


def rounded_up(result, value: float) -> bool:
    """Whether the result is this number, as it is or rounded up to a whole one."""
    return equal(result, value) or equal(result, math.ceil(value))


def _kind(value) -> str:
    name = "function" if callable(value) else type(value).__name__
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def _shape(shape: tuple[int, ...]) -> str:
    if len(shape) < 2:
        return f"a row of {shape[0]} numbers" if shape else "one number"
    return f"a table of shape {shape}"
