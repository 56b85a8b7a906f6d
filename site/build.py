"""Build the site from the committed notebooks, which are not run again.

python site/build.py [build/site]
"""

import shutil
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parents[1]
NEEDED = {
    "sphinx": "sphinx",
    "myst_nb": "myst-nb",
    "furo": "furo",
    "sphinx-mathjax-offline": "sphinx-mathjax-offline",
    "latex2mathml": "latex2mathml",
}

MATHJAX = "tex-chtml.js"


def missing() -> list[str]:
    """Packages of the extra `site` that are not installed here."""
    return [package for module, package in NEEDED.items() if find_spec(module) is None]


def main(out: Path) -> None:
    if lacking := missing():
        sys.exit(f"the site needs {', '.join(lacking)}, which make site installs; they are the extra [site]")
    import build_explorer
    import links
    import pages

    start = time.monotonic()
    source = ROOT / "build" / "site-source"
    pages.stage(source)
    shutil.rmtree(out, ignore_errors=True)
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html"]
    if subprocess.run([*command, "-c", str(ROOT / "site"), str(source), str(out)], check=False).returncode:
        sys.exit("the site has faults, listed above")
    (out / "explorer.html").write_text(build_explorer.page())
    for path in (out / "_static" / "mathjax").glob("*.js"):
        if path.name != MATHJAX:  # 15 MB of other ways to load the same
            path.unlink()
    if broken := links.broken(out):
        sys.exit("\n".join(["links that lead nowhere:", *broken]))
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    print(f"{out / 'index.html'}: {size / 1e6:.0f} MB in {time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    if sys.argv[1:] == ["--missing"]:
        sys.exit(print(*missing()))
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build" / "site")
