"""Build the site from the committed notebooks, which are not run again.

python site/build.py [build/site]
"""

import shutil
import subprocess
import sys
import time
from pathlib import Path

from robust_lib.course import runner

ROOT = Path(__file__).parents[1]


def main(out: Path) -> None:
    import build_explorer
    import links
    import pages
    import slides

    start = time.monotonic()
    source = ROOT / "build" / "site-source"
    pages.stage(source)
    shutil.rmtree(out, ignore_errors=True)
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html"]
    if subprocess.run([*command, "-c", str(ROOT / "site"), str(source), str(out)], check=False).returncode:
        sys.exit("the site has faults, listed above")
    (out / "explorer.html").write_text(build_explorer.page())
    shutil.rmtree(out / "_static" / "mathjax")  # 24 MB, of which 1.6 are needed
    runner.copy_mathjax(out / "_static")
    slides.write(out)
    if broken := links.broken(out):
        sys.exit("\n".join(["links that lead nowhere:", *broken]))
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    print(f"{out / 'index.html'}: {size / 1e6:.0f} MB in {time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build" / "site")
