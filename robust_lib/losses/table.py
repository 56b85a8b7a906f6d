"""The table of all registered losses, generated from the registry: formula, weight, limits, symmetry.

Formulas and weights of p_y-losses come out of sympy with symbolic parameters; those of other losses are the
LaTeX given where they are registered. A loss of your own appears as soon as it is registered.
"""

import inspect
import re

from robust_lib.losses import algebra, ops, weights, zoo

WEIGHT = r"Sample weight $w=-\partial L/\partial s_y$"
HEADER = ("Loss", "Formula", WEIGHT, "Limits", "Symmetric", "Asymmetric", "Source", "Errata")


def markdown() -> str:
    """One row per registered loss, in Markdown with $LaTeX$; `—` where nothing is known or defined."""
    lines = [HEADER, ("---",) * len(HEADER), *(row(name) for name in zoo.names())]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def row(name: str) -> tuple[str, ...]:
    """The cells of one loss, in HEADER's order. Raises ValueError for an unknown name."""
    about = zoo.about(name)
    formula, weight = _derived(name) if not (about.latex and about.weight) else (about.latex, about.weight)
    cells = (
        f"$L={about.latex or formula}$" if about.latex or formula else "",
        f"${about.weight or weight}$" if about.weight or weight else "",
        about.limits,
        symmetry(about),
        about.asymmetric,
        about.source,
        ", ".join(about.errata),
    )
    return (f"`{name}`", *(cell or "—" for cell in cells))


def symmetry(about: algebra.About) -> str:
    """Yes, no, or the parameters that make it so: {"q": 1.0} reads `if q = 1`."""
    if isinstance(about.symmetric, dict):
        return "if " + ", ".join(f"{name} = {value:g}" for name, value in about.symmetric.items())
    return {True: "yes", False: "no", None: ""}[about.symmetric]


def symbolic(name: str):
    """The registered loss with a positive sympy symbol for every numeric parameter."""
    import sympy

    parameters = inspect.signature(algebra.factory(name)).parameters.values()
    numeric = [q.name for q in parameters if type(q.default) in (int, float)]
    greek = {"eps": "epsilon"}
    return zoo.get(name, **{q: sympy.Symbol(greek.get(q, q), positive=True) for q in numeric})


def _derived(name: str) -> tuple[str, str]:
    """LaTeX of l(p) and of w = (1 - p) · (-p dl/dp) with p written p_y; empty strings for other losses."""
    import sympy

    p = ops.symbol_p()
    try:
        loss = symbolic(name)
        formula, weight = ops.release(loss.formula(p)), weights.symbolic(loss)
    except ValueError:  # it sees the other classes, or is not written in ops
        return "", ""
    bases = [1 - p, *(power for power in weight.atoms(sympy.Pow) if power.base == 1 - p)]
    rests = [sympy.powsimp(sympy.simplify(weight / base)) for base in bases]
    rest, base = min(zip(rests, bases, strict=True), key=lambda pair: pair[0].count_ops())
    return _latex(formula), _latex(sympy.Mul(rest, base, evaluate=False) if rest != 1 else base)


def _latex(expression) -> str:
    """LaTeX without the rows of `cases`, which Markdown tables break, with A for RCE's constant."""
    import sympy

    constant = sympy.Symbol("A", positive=True)
    expression = expression.replace(
        lambda e: e.is_Float and abs(abs(e) - zoo.RCE_A) < 1e-9, lambda e: constant * sympy.sign(e)
    )
    if expression.has(sympy.Piecewise):
        outer, inner = expression.as_independent(sympy.Piecewise, as_Add=False)
        (yes, condition), (no, _) = inner.args
        parts = [_latex(outer * part) for part in (yes, no)]
        return rf"{parts[0]}\text{{ if }}{_latex(condition)}\text{{, else }}{parts[1]}"
    text = sympy.latex(expression, symbol_names={ops.symbol_p(): "p_y"}, order="none")
    text = re.sub(r"-1 \+ (\w+)", r"\1 - 1", text)
    return re.sub(r"\\log\{\\left\((\S+) \\right\)\}", r"\\log \1", text)
