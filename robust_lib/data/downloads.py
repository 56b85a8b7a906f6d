"""Files of public data sets: in the folder that ROBUST_DATA names, in the platform's cache, or from mirrors.

images and people say what they need by two functions of a root folder.  read(root) returns what it read, or
None, and {path: what is wrong with it}.  download(root) lays the missing files below root, each whole or not
at all, and returns {path or address: what went wrong}; it raises OSError where root cannot be written.
"""

import hashlib
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from tqdm import tqdm

TIMEOUT_SECONDS = (10.0, 30.0)  # to connect, and from one byte to the next
PATIENCE_SECONDS = 30.0  # a mirror that sends fewer than LEAST_BYTES in so many seconds is left for the next
LEAST_BYTES = 500_000
CHUNK_BYTES = 1 << 10  # patience is looked at each time so much has come
ABSENT = "not there"


class DataError(RuntimeError):
    """A data set could not be had; the message lists every path and mirror that was tried, and why not."""


def cache_folder() -> Path:
    """Where full sets are downloaded to when ROBUST_DATA does not name a folder."""
    import platformdirs

    return platformdirs.user_cache_path("robust-losses-course")


def roots() -> list[Path]:
    """The folders to look in: the one that ROBUST_DATA names, if any, then the cache."""
    theirs = os.environ.get("ROBUST_DATA")
    return list(dict.fromkeys([Path(theirs).expanduser(), cache_folder()] if theirs else [cache_folder()]))


def obtain(title: str, read: Callable, download: Callable, hint: str) -> tuple:
    """(what `read` read, its root): from the first root that has it, otherwise downloaded.

    A broken or unreadable file of the user is left alone, and nothing is written beside it.
    Warns of whatever was wrong on the way; raises DataError, which ends with `hint`, where there is no way.
    """
    tried, writable = {}, []
    for root in roots():
        value, problems = read(root)
        tried |= problems
        if value is not None:
            return _with_warning(title, value, root, tried)
        if root == cache_folder() or set(problems.values()) == {ABSENT}:
            writable.append(root)
    for root in writable:
        try:
            tried |= download(root)
        except OSError as error:  # this folder cannot be written; the next may
            tried[root] = reason(error)
            continue
        value, problems = read(root)
        if value is not None:
            return _with_warning(title, value, root, tried)
        tried |= problems
        break  # no mirror is asked twice
    raise DataError(f"{title} cannot be had. Tried:{listed(tried)}\n{hint}")


def _with_warning(title: str, value, root: Path, tried: dict) -> tuple:
    problems = {what: why for what, why in tried.items() if why != ABSENT}
    if problems:
        text = f"{title} is from {root}, but not before this went wrong:{listed(problems)}"
        warnings.warn(text, stacklevel=5)
    return value, root


def faults(root: Path, md5_of: dict[str, str]) -> dict[Path, str]:
    """{path: why it cannot be used} of the files below root that are absent, unreadable or of another md5."""
    whys = {root / file: _fault(root / file, md5) for file, md5 in md5_of.items()}
    return {path: why for path, why in whys.items() if why}


def _fault(path: Path, md5: str) -> str:
    try:
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
            size = file.tell()
    except FileNotFoundError:
        return ABSENT
    except OSError as error:
        return reason(error)
    altered = f"truncated or altered ({size:,} bytes, md5 {digest}, expected {md5})"
    return "" if digest == md5 else altered


@contextmanager
def scratch(root: Path) -> Iterator[Path]:
    """A temporary folder on the disk of root, from where files can be moved into it; root is not made."""
    nearest = next(folder for folder in (root, *root.absolute().parents) if folder.exists())
    with tempfile.TemporaryDirectory(dir=nearest, prefix=".robust-losses-download-") as folder:
        yield Path(folder)


def move(file: Path, target: Path) -> None:
    """Puts a file of the scratch folder in its place, whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    os.replace(file, target)


def from_mirrors(urls: Iterable[str], folder: Path, check: Callable[[Path], None], problems: dict):
    """The path in `folder` of the first address's file that passes `check`; None if none sends it whole.

    `check(path)` raises ValueError for another file than the one wanted.  Addresses are tried in order; one
    that is silent, or sends too little in PATIENCE_SECONDS, is left for the next.  `problems` gets {address:
    what went wrong}.
    """
    import pooch

    # identity: what is checked is the file as stored, so nobody may decompress it on the way
    options = {"headers": {"Accept-Encoding": "identity"}, "timeout": TIMEOUT_SECONDS}
    for url in urls:
        path = folder / Path(urlsplit(url).path).name
        try:
            with _ImpatientBar(desc=f"{path.name} from {urlsplit(url).netloc}") as bar:
                pooch.HTTPDownloader(bar, CHUNK_BYTES, **options)(url, str(path), None)
            check(path)
            return path
        except (OSError, ValueError) as error:
            problems[url] = reason(error)
    return None


class _ImpatientBar(tqdm):
    """A progress bar that also ends a download that trickles; a timeout ends silent ones only."""

    def __init__(self, desc: str):
        pause = 0.2 if sys.stderr.isatty() else 10  # seconds; a log file needs few lines
        super().__init__(desc=desc, unit="B", unit_scale=True, mininterval=pause)
        self.since, self.had = 0.0, 0

    def __bool__(self) -> bool:  # pooch asks whether it has a bar; tqdm says no where the size is not known
        return True

    def update(self, n: int = 1) -> None:
        super().update(n)
        elapsed = self.format_dict["elapsed"]
        if elapsed - self.since > PATIENCE_SECONDS:
            got = self.n - self.had
            if got < LEAST_BYTES:
                raise TimeoutError(f"too slow, {got:,} bytes in {PATIENCE_SECONDS:g} s")
            self.since, self.had = elapsed, self.n


def reason(error: Exception) -> str:
    """What went wrong, in at most 300 characters."""
    # requests wraps what happened in what it was doing when it happened
    _, wrapped, cause = str(error).rpartition("(Caused by ")
    return f"{type(error).__name__}: {cause.removesuffix(')') if wrapped else cause}"[:300]


def listed(tried: dict) -> str:
    """What was tried and why it failed, one a line, each line begun anew."""
    return "".join(f"\n  {what}: {why}" for what, why in tried.items())
