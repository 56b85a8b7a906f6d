"""What people said of the images: verified label errors of test sets, labels by crowds, and their noise.

    errors = load_label_errors("cifar10")         # the test images whose label five people judged
    people = load_human_labels("cifar10n")        # 50,000 training images labelled again by three people each
    soft = load_soft_labels()                     # about 51 people's label for each CIFAR-10 test image
    matrix = transition_matrix("cifar10n-worst")  # recorded here: needs none of the above

The files are looked for in the folder that ROBUST_DATA names, then in the platform's cache, and downloaded
from their homes when neither has them; this package holds none: two of the three licences are NonCommercial.
No pickle is executed: json, np.load(allow_pickle=False) and torch.load(weights_only=True).  What is checked
is not the file but what was read from it: the md5 of its arrays, one after the other, as little endian int64,
float64 or float32.  So an .npz of the same arrays is as good as the published file, and what was damaged or
altered is refused.
"""

import functools
import io
import json
import pickle
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from hashlib import md5
from pathlib import Path

import numpy as np
import torch

from robust_lib.data import downloads
from robust_lib.data.noise import one_of

COUNTS = Path(__file__).parent / "human_noise.json"


@dataclass(frozen=True, eq=False)
class LabelErrors:
    """Human verdicts on M images of a test set of N = 10,000 with K classes; arrays of numpy.

    index int64 (M,): places in the test set, rising.  given, guessed int64 (M,), in 0..K-1: the test set's
    label, and the one that confident learning proposed.  votes_given, votes_guessed, votes_neither and
    votes_both int64 (M,), 0 to 5, summing to 5: how many of five people saw which in the image (for MNIST
    "both" was not offered, and is 0).  predicted int64 (N,) and probs float32 (N, K): what the network behind
    the proposals said out of sample; probs is None for CIFAR-100.
    Only proposals were judged: an image outside `index` has no verdict, which is not a verdict of "right".
    """

    name: str
    index: np.ndarray
    given: np.ndarray
    guessed: np.ndarray
    votes_given: np.ndarray
    votes_guessed: np.ndarray
    votes_neither: np.ndarray
    votes_both: np.ndarray
    predicted: np.ndarray
    probs: np.ndarray | None

    @property
    def upheld(self) -> np.ndarray:
        """bool (M,): at least 3 of 5 people saw the given label and it alone; where False, it is an error."""
        return self.votes_given >= 3


@dataclass(frozen=True, eq=False)
class HumanLabels:
    """CIFAR's N = 50,000 training images, in torchvision's order, labelled again by people.

    clean int64 (N,), in 0..K-1: CIFAR's own labels.  noisy: int64 (N,) each, by name.  K = 10: "random1",
    "random2", "random3", one person each; "aggregate", their majority; "worst", a wrong one of the three if
    there is one.  K = 100: "fine", one person's.
    """

    name: str
    clean: np.ndarray
    noisy: dict[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class SoftLabels:
    """CIFAR-10's N = 10,000 test images, in torchvision's order, each labelled by 47 to 63 people, K = 10.

    counts int64 (N, K): people per class.  probs float64 (N, K): counts/row sums.
    """

    counts: np.ndarray
    probs: np.ndarray

    @property
    def entropy(self) -> np.ndarray:
        """H = -sum_k p_k ln p_k in nats, float64 (N,): 0 where all agree, at most ln 10."""
        from scipy.special import entr

        return entr(self.probs).sum(axis=1)


def load_label_errors(name: str) -> LabelErrors:
    """Verdicts on the test set of "mnist" (M = 87), "cifar10" (275) or "cifar100" (2,235).

    Source: Northcutt, Athalye and Mueller (2021), github.com/cleanlab/label-errors, Apache-2.0.  MNIST's file
    has 13 rows more, in which guessed equals given and votes are counted twice: they judge nothing, and are
    left out.
    Raises ValueError for another name, `data.DataError` when the files cannot be had.
    """
    one_of("name", name, ("mnist", "cifar10", "cifar100"))
    votes = _load("label-errors", f"{name} votes")
    sensible = votes["given_label"] != votes["guessed_label"]
    columns = [votes[key][sensible] for key in VOTES]
    predicted = _load("label-errors", f"{name} predictions")["predicted_label"]
    probs = None
    if f"{name} probabilities" in COLLECTIONS["label-errors"].pieces:
        probs = _load("label-errors", f"{name} probabilities")["pred_prob"].reshape(len(predicted), -1)
    return LabelErrors(name, *columns, predicted, probs)


def load_human_labels(name: str) -> HumanLabels:
    """The labels of "cifar10n" or "cifar100n".

    Source: Wei et al. (2022), github.com/UCSC-REAL/cifar-10-100n, CC BY-NC 4.0.
    Raises ValueError for another name, `data.DataError` when the file cannot be had.
    """
    one_of("name", name, ("cifar10n", "cifar100n"))
    labels = _load("cifar-n", name)
    return HumanLabels(name, labels["clean_label"], {ours: labels[key] for ours, key in NOISY[name].items()})


def load_soft_labels() -> SoftLabels:
    """CIFAR-10H.  Source: Peterson et al. (2019), github.com/jcpeterson/cifar-10h, CC BY-NC-SA 4.0.

    Raises `data.DataError` when the files cannot be had.
    """
    return SoftLabels(*(_load("cifar-10h", name)[name].reshape(-1, 10) for name in ("counts", "probs")))


def transition_matrix(name: str) -> torch.Tensor:
    """T[i, j] = P(people's label = j | CIFAR's label = i), float64 (K, K), for `noise.corrupt`; no download.

    `name`: "cifar10n-aggregate", "-random1", "-random2", "-random3", "-worst" (K = 10), or "cifar100n-fine"
    (K = 100).  Equal to `noise.estimate` on the labels of `load_human_labels`: its counts are recorded here.
    Raises ValueError for another name.
    """
    counts = _recorded_counts()
    one_of("name", name, counts)
    table = torch.tensor(counts[name])
    return table / table.sum(dim=1, keepdim=True).double()


def fetch(collection: str) -> list[str]:
    """Gets every file of "cifar-n", "label-errors" or "cifar-10h"; returns lines: the licence, what is where.

    Raises ValueError for another name, `data.DataError` when a file cannot be had.
    """
    one_of("collection", collection, COLLECTIONS)
    about = COLLECTIONS[collection]
    lines = [f"{about.title}. Licence: {about.licence}. Home: {about.home}"]
    for name in about.pieces:
        arrays, root = _obtain(collection, name)
        lines.append(f"  {name}: {', '.join(arrays)}; from {root / collection}")
    return lines


def have(*collections: str) -> bool:
    """Whether all files of the collections are on this machine and whole; downloads and removes nothing."""
    for collection in collections:
        one_of("collections", collection, COLLECTIONS)
    pieces = [(name, piece) for name in collections for piece in COLLECTIONS[name].pieces.values()]
    return all(any(_read(*piece, root)[0] for root in downloads.roots()) for piece in pieces)


@functools.cache
def _recorded_counts() -> dict[str, list[list[int]]]:
    return json.loads(COUNTS.read_text())["counts"]


# --- the files -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Piece:
    """One public file: its addresses, its reader, the names and the type of the arrays in it, and their md5.

    `pack` names an .npz that may stand in for it.
    """

    urls: tuple[str, ...]
    pack: str
    read: Callable[[bytes], dict[str, np.ndarray]]
    names: tuple[str, ...]
    md5: str
    dtype: str = "<i8"

    @property
    def file(self) -> str:
        return self.urls[0].rpartition("/")[2]


@dataclass(frozen=True)
class Collection:
    """What one group of people published; its key in COLLECTIONS is its folder below the root."""

    title: str
    licence: str
    home: str
    pieces: dict[str, Piece]


def _load(collection: str, name: str) -> dict[str, np.ndarray]:
    arrays, _ = _obtain(collection, name)
    _show_licence(collection)
    return arrays


@functools.cache  # once in a session is enough
def _show_licence(collection: str) -> None:
    about = COLLECTIONS[collection]
    if "NC" in about.licence:
        print(f"{about.title}: licence {about.licence}, NonCommercial use only ({about.home})")


def _obtain(collection: str, name: str) -> tuple[dict[str, np.ndarray], Path]:
    """The arrays of one piece and the root they came from; DataError when there is no way to them."""
    piece = COLLECTIONS[collection].pieces[name]
    hint = f"Without a network: put {piece.file} into {collection}/ below a folder that ROBUST_DATA names."
    read, download = partial(_read, collection, piece), partial(_download, collection, piece)
    return downloads.obtain(COLLECTIONS[collection].title, read, download, hint)


def _read(collection: str, piece: Piece, root: Path) -> tuple[dict[str, np.ndarray] | None, dict]:
    """The piece's arrays from its file or its pack below root; `downloads` says what read returns."""
    problems = {}
    for name, read in {piece.file: piece.read, piece.pack: _read_npz}.items():
        path = root / collection / name
        try:
            return _arrays(piece, read, path), problems
        except FileNotFoundError:
            problems[path] = downloads.ABSENT
        except OSError as error:
            problems[path] = downloads.reason(error)
        except ValueError as error:
            problems[path] = str(error)
    return None, problems


def _download(collection: str, piece: Piece, root: Path) -> dict:
    """Lays the piece's file below root, from the first address that sends its arrays."""
    problems = {}
    with downloads.scratch(root) as scratch:
        file = downloads.from_mirrors(piece.urls, scratch, partial(_arrays, piece, piece.read), problems)
        if file:
            downloads.move(file, root / collection / piece.file)
    return problems


def _arrays(piece: Piece, read: Callable, path: Path) -> dict[str, np.ndarray]:
    """The piece's arrays from a file, each in its type; ValueError says what is wrong with them."""
    blob = path.read_bytes()
    try:
        content = read(blob)
        arrays = {name: np.ascontiguousarray(content[name]).astype(piece.dtype) for name in piece.names}
    except pickle.UnpicklingError as error:  # torch's text of many lines advises to switch its guard off
        asked = re.search(r"GLOBAL (\S+)", str(error))
        why = f"it asks for {asked[1]}, which is no part of an array" if asked else "no pickle of arrays"
        raise ValueError(f"refused ({len(blob):,} bytes): {why}") from None
    except Exception as error:  # readers raise whatever a broken file makes them stumble over
        why = downloads.reason(error)[:100]
        raise ValueError(f"unreadable ({len(blob):,} bytes): {why}") from None
    digest = md5(b"".join(array.tobytes() for array in arrays.values()), usedforsecurity=False).hexdigest()
    if digest != piece.md5:
        raise ValueError(f"altered: {', '.join(arrays)} have md5 {digest}, expected {piece.md5}")
    return arrays


def _read_pt(blob: bytes) -> dict[str, np.ndarray]:
    """A dict of numpy arrays or tensors that torch.save wrote, without executing what else it may hold."""
    reconstruct = np.empty(0).__reduce__()[0]  # how every pickled array begins
    named = [(reconstruct, f"numpy.{core}.multiarray._reconstruct") for core in ("core", "_core")]
    dtypes = [type(np.dtype(code)) for code in "?bBhHiIlLqQfd"]
    with torch.serialization.safe_globals([np.ndarray, np.dtype, *dtypes, *named]):
        return torch.load(io.BytesIO(blob), map_location="cpu", weights_only=True)


def _read_npz(blob: bytes) -> dict[str, np.ndarray]:
    with np.load(io.BytesIO(blob), allow_pickle=False) as pack:
        return {name: pack[name] for name in pack.files}


def _read_npy(name: str) -> Callable[[bytes], dict[str, np.ndarray]]:
    return lambda blob: {name: np.load(io.BytesIO(blob), allow_pickle=False)}


def _read_votes(blob: bytes) -> dict[str, np.ndarray]:
    """Columns from the json of judged images: a list of {"id": ..., "mturk": {"given": 5, ...}, ...}."""
    rows = json.loads(blob)
    columns = {
        "test_index": [row["id"] for row in rows],
        "given_label": [row["given_original_label"] for row in rows],
        "guessed_label": [row["our_guessed_label"] for row in rows],
    }
    for answer in ("given", "guessed", "neither", "both"):  # MNIST's judges were not offered "both"
        columns[f"votes_{answer}"] = [row["mturk"].get(answer, 0) for row in rows]
    return {name: np.array(column) for name, column in columns.items()}


VOTES = (
    "test_index", "given_label", "guessed_label",
    "votes_given", "votes_guessed", "votes_neither", "votes_both",
)  # fmt: skip
NOISY = {
    "cifar10n": {
        "aggregate": "aggre_label",
        "random1": "random_label1",
        "random2": "random_label2",
        "random3": "random_label3",
        "worst": "worse_label",
    },
    "cifar100n": {"fine": "noisy_label"},
}


def _crowd(name: str, file: str, checksum: str) -> Piece:
    """A file of CIFAR-N, from its authors' repository or their page."""
    homes = (
        "https://github.com/UCSC-REAL/cifar-10-100n/raw/main/data/",
        "http://www.yliuu.com/web-cifarN/files/",
    )
    names = ("clean_label", *NOISY[name].values())
    return Piece(tuple(home + file for home in homes), f"{name}.npz", _read_pt, names, checksum)


def _judged(name: str, votes: str, predictions: str, probabilities: str = "") -> dict[str, Piece]:
    """The pieces of one test set in cleanlab/label-errors, from the md5 of each."""
    home, pack = "https://github.com/cleanlab/label-errors/raw/main", f"{name}_label_errors.npz"
    guesses = f"{home}/cross_validated_predicted_labels/{name}_test_set_pyx_argmax_predicted_labels.npy"
    certainty = f"{home}/cross_validated_predicted_probabilities/{name}_test_set_pyx.npy"
    pieces = {
        f"{name} votes": Piece((f"{home}/mturk/{name}_mturk.json",), pack, _read_votes, VOTES, votes),
        f"{name} predictions": _array("predicted_label", guesses, pack, predictions),
    }
    if probabilities:
        pieces[f"{name} probabilities"] = _array("pred_prob", certainty, pack, probabilities, "<f4")
    return pieces


def _array(name: str, url: str, pack: str, checksum: str, dtype: str = "<i8") -> Piece:
    """A file of numpy that holds one array, called `name` here."""
    return Piece((url,), pack, _read_npy(name), (name,), checksum, dtype)


CIFAR_10H = "https://github.com/jcpeterson/cifar-10h/raw/master/data/cifar10h"
COLLECTIONS = {
    "cifar-n": Collection(
        title="CIFAR-N (Wei et al. 2022)",
        licence="CC BY-NC 4.0",
        home="https://github.com/UCSC-REAL/cifar-10-100n",
        pieces={
            "cifar10n": _crowd("cifar10n", "CIFAR-10_human.pt", "6f108fe5a7f493e7b1a2cc56b18e159d"),
            "cifar100n": _crowd("cifar100n", "CIFAR-100_human.pt", "43483cabf3085ddbed72a353f9768c45"),
        },
    ),
    "label-errors": Collection(
        title="Label errors of test sets (Northcutt, Athalye and Mueller 2021)",
        licence="Apache-2.0",
        home="https://github.com/cleanlab/label-errors",
        pieces=_judged(
            "mnist",
            votes="47972d6daa93d0d45b38507dfee1773a",
            predictions="decc0ef73ef9ff7b8b21bc51f7a889e3",
            probabilities="71fb1e80201b467a6e3c4e636272684c",
        )
        | _judged(
            "cifar10",
            votes="088d900b8484e1815b5aa2ef74014594",
            predictions="9e9bce632782d64758f693c7730363fc",
            probabilities="60e5b9ad358d485e0a6c27a6b79addf0",
        )
        | _judged(
            "cifar100",
            votes="4113e0cc55374e19196774c99d6ad398",
            predictions="5f557970411dfadb1141b1ec1810f53a",
        ),
    ),
    "cifar-10h": Collection(
        title="CIFAR-10H (Peterson et al. 2019)",
        licence="CC BY-NC-SA 4.0",
        home="https://github.com/jcpeterson/cifar-10h",
        pieces={
            name: _array(name, f"{CIFAR_10H}-{name}.npy", "cifar10h.npz", checksum, dtype)
            for name, checksum, dtype in (
                ("counts", "6d64a4f1a4749da37fff1826dafd9342", "<i8"),
                ("probs", "7ce8f5d733a6e179afbc74e249945487", "<f8"),
            )
        },
    ),
}
