"""Write the loss explorer: one HTML page that needs nothing but itself.

    python site/build_explorer.py site/explorer.html

The page's JavaScript is site/explorer/*.js, its text page.html, its look style.css. The losses in it are not
written a second time: sympy turns the library's own line of every loss of p_y into JavaScript, and its
formula is MathML, for the eye and for the screen reader.
"""

import inspect
import json
import re
import sys
from pathlib import Path

import jinja2
import sympy
from latex2mathml import converter
from sympy.printing.jscode import JavascriptCodePrinter

from robust_lib import losses
from robust_lib.losses import ops, table, weights

SOURCE = Path(__file__).parent / "explorer"
# Each module imports only from those before it.
MODULES = ("random", "formulas", "losses", "fresh", "state", "chart", "controls", "panel", "curves", "plane",
           "flow", "flow_view", "network", "network_view", "film", "main")  # fmt: skip

# What a reader calls a loss, and how far each slider goes: low, high, step.
TITLES = {
    "ce": ("CE: cross entropy", {}),
    "focal": ("Focal loss", {"gamma": (0, 5, 0.05)}),
    "mae": ("MAE: mean absolute error", {}),
    "rce": ("RCE: reverse cross entropy", {}),
    "gce": ("GCE: generalised cross entropy", {"q": (0.01, 1, 0.01)}),
    "sce": ("SCE: symmetric cross entropy", {"alpha": (0, 6, 0.05), "beta": (0, 1, 0.01)}),
    "aul": ("AUL: asymmetric unhinged", {"a": (1.01, 7, 0.01), "q": (0.05, 8, 0.05)}),
    "agce": ("AGCE: asymmetric GCE", {"a": (0.01, 7, 0.01), "q": (0.05, 5, 0.05)}),
    "ael": ("AEL: asymmetric exponential", {"a": (0.1, 6, 0.05)}),
    "tce": ("TCE: Taylor cross entropy", {"t": (1, 20, 1)}),
    "phuber_ce": ("PHuber-CE: partially Huberised", {"tau": (1, 50, 0.5)}),
    "blurry": ("Blurry", {"gamma": (0, 1.2, 0.01)}),
    "blurry-stopped": ("Blurry, gradient of its factor stopped", {"gamma": (0, 1.2, 0.01)}),
    "piecewise_zero": ("Piecewise-zero", {"c": (0, 0.5, 0.001)}),
    "logit_bias_mae": ("MAE with a bias on the given logit", {"eps": (-2, 10, 0.1)}),
}
GREEK = {"alpha": "α", "beta": "β", "gamma": "γ", "eps": "ε", "tau": "τ"}


class _Printer(JavascriptCodePrinter):
    """JavaScript of a sympy expression on one line; sums by the helper `total`."""

    def _print_Sum(self, expression):
        ((index, low, high),) = expression.limits
        return (
            f"total({self._print(low)}, {self._print(high)}, ({index}) => {self._print(expression.function)})"
        )


def registered(name: str) -> tuple[str, dict]:
    """The library's name of an explorer's loss, and the parameters that are not numbers."""
    plain = name.removesuffix("-stopped")
    return plain, {"stop_gradient": True} if plain != name else {}


def with_symbols(name: str):
    """The loss with a symbol for every parameter that has a slider."""
    plain, fixed = registered(name)
    return losses.get(plain, **{key: sympy.Symbol(key, positive=True) for key in TITLES[name][1]}, **fixed)


def javascript(name: str) -> tuple[str, str]:
    """l and w/(1-p) in JavaScript, of p, l = log p, r = 1-p and the loss's parameters.

    dp/dlog p = p, so the weight is (1-p) times -(p ∂/∂p + ∂/∂log p) of the loss. Both are symbols because p
    near 0 or 1 has lost the digits of log p.
    """
    loss, p = with_symbols(name), ops.symbol_p()
    log_p, r = sympy.Symbol("l"), sympy.Symbol("r", positive=True)
    value = loss.expression(p, log_p, **loss.params)
    pull = -(p * sympy.diff(value, p) + sympy.diff(value, log_p))
    short = {1 - sympy.exp(log_p): r, 1 - p: r}
    texts = (_Printer().doprint(ops.release(part).subs(short)) for part in (value, pull))
    return tuple(" ".join(text.split()) for text in texts)


def mathml(name: str) -> tuple[str, str]:
    """The formula of the loss and of its weight."""
    plain, fixed = registered(name)
    value, weight = (cell.strip("$") for cell in table.row(plain)[1:3])
    if fixed:
        weight = sympy.latex(weights.symbolic(with_symbols(name)), symbol_names={ops.symbol_p(): "p_y"})
    value = value.replace("L=", "l(p_y)=", 1)
    return tuple(converter.convert(text) for text in (value, rf"w(\Delta_y)={weight}"))


def formulas() -> str:
    """The module formulas.js: every loss of p_y."""
    lines = [
        "const total = (low, high, f) => { let sum = 0; "
        "for (let i = low; i <= high; i++) sum += f(i); return sum; };"
    ]
    for name, (title, knobs) in TITLES.items():
        value, pull = javascript(name)
        given = inspect.signature(getattr(losses, registered(name)[0])).parameters
        sliders = {
            key: {
                "sign": GREEK.get(key, key),
                "low": low,
                "high": high,
                "step": step,
                "start": given[key].default,
            }
            for key, (low, high, step) in knobs.items()
        }
        formula, weight = mathml(name)
        facts = {"title": title, "knobs": sliders, "formula": formula, "weightFormula": weight}
        inputs = f"({{ {', '.join(knobs)} }}, p, l, r)"
        lines.append(
            f"  {json.dumps(name)}: {{ ...{json.dumps(facts, ensure_ascii=False)},\n"
            f"    value: {inputs} => {value},\n    pull: {inputs} => {pull} }},"
        )
    return "\n".join([lines[0], "export const FORMULAS = {", *lines[1:], "};"])


def scoped(name: str, text: str) -> str:
    """A module as a function of its own that returns what it exports: file:// allows no second file."""
    offers = re.findall(r"(?m)^export (?:function|const|let|class) (\w+)", text)
    text = re.sub(r'(?ms)^import (\{.*?\}) from "\./(\w+)\.js";', r"const \1 = module_\2;", text)
    text = re.sub(r"(?m)^export ", "", text)
    return f"const module_{name} = (() => {{\n{text}return {{ {', '.join(offers)} }};\n}})();\n"


def script() -> str:
    """All modules, each in a scope of its own."""
    texts = {name: (SOURCE / f"{name}.js").read_text() for name in MODULES if name != "formulas"}
    joined = "".join(scoped(name, texts.get(name) or formulas() + "\n") for name in MODULES)
    offered = ", ".join(f"{name}: module_{name}" for name in MODULES)
    return f"{joined}window.explorer = {{ {offered} }}; // for tests, and for the console of the curious\n"


def page() -> str:
    """The whole page."""
    film = json.loads((SOURCE / "margins.json").read_text())
    template = jinja2.Environment(autoescape=False, keep_trailing_newline=True).from_string(
        (SOURCE / "page.html").read_text()
    )
    parts = {"style": (SOURCE / "style.css").read_text(), "script": script()}
    return template.render(film=json.dumps(film, ensure_ascii=False, separators=(",", ":")), **parts)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(f"usage: python {sys.argv[0]} PAGE.html")
    Path(sys.argv[1]).parent.mkdir(parents=True, exist_ok=True)
    Path(sys.argv[1]).write_text(page())
