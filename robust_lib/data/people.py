"""What people said of the images: verified label errors of test sets, labels by crowds, and their noise.

    errors = load_label_errors("cifar10")         # the test images whose label five people judged
    people = load_human_labels("cifar10n")        # 50,000 training images labelled again by three people each
    soft = load_soft_labels()                     # about 51 people's label for each CIFAR-10 test image
    matrix = transition_matrix("cifar10n-worst")  # recorded here: needs none of the above

The files are looked for in the folder that ROBUST_DATA names, then in the platform's cache, and downloaded
from their homes when neither has them; this package holds none: two of the three licences are NonCommercial.
No pickle is executed: json, np.load(allow_pickle=False) and torch.load(weights_only=True).  What is checked
is not the file but what was read from it: the md5 of each array as little endian int64, float64 or float32.
So an .npz of the same arrays is as good as the published file, and what was damaged or altered is refused.
"""

import functools
import io
import json
import pickle
import re
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import md5
from pathlib import Path

import numpy as np
import torch

from robust_lib.data import images

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
    _one_of("name", name, ("mnist", "cifar10", "cifar100"))
    votes = _load("label-errors", f"{name} votes")
    sensible = votes["given_label"] != votes["guessed_label"]
    columns = [votes[key][sensible] for key in _VOTES]
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
    _one_of("name", name, ("cifar10n", "cifar100n"))
    found = _load("cifar-n", name)
    return HumanLabels(name, found["clean_label"], {ours: found[key] for ours, key in _NOISY[name].items()})


def load_soft_labels() -> SoftLabels:
    """CIFAR-10H.  Source: Peterson et al. (2019), github.com/jcpeterson/cifar-10h, CC BY-NC-SA 4.0.

    Raises `data.DataError` when the files cannot be had.
    """
    parts = [_load("cifar-10h", part)[part].reshape(-1, 10) for part in ("counts", "probs")]
    return SoftLabels(*parts)


def transition_matrix(name: str) -> torch.Tensor:
    """T[i, j] = P(people's label = j | CIFAR's label = i), float64 (K, K), for `noise.corrupt`; no download.

    `name`: "cifar10n-aggregate", "-random1", "-random2", "-random3", "-worst" (K = 10), or "cifar100n-fine"
    (K = 100).  Equal to `noise.estimate` on the labels of `load_human_labels`: its counts are recorded here.
    Raises ValueError for another name.
    """
    counts = _recorded_counts()
    _one_of("name", name, tuple(counts))
    table = torch.tensor(counts[name])
    return table / table.sum(dim=1, keepdim=True).double()


def fetch(collection: str) -> list[str]:
    """Gets every file of "cifar-n", "label-errors" or "cifar-10h"; returns lines: the licence, what is where.

    Raises ValueError for another name, `data.DataError` when a file cannot be had.
    """
    _one_of("collection", collection, tuple(COLLECTIONS))
    about = COLLECTIONS[collection]
    lines = [f"{about.title}. Licence: {about.licence}. Home: {about.home}"]
    for part in about.pieces:
        arrays, root = _find(collection, part)
        lines.append(f"  {part}: {', '.join(arrays)}; from {root / collection}")
    return lines


def have(*collections: str) -> bool:
    """Whether all files of the collections are on this machine and whole; downloads and removes nothing."""

    def there(collection: str, piece: Piece) -> bool:
        read = _reader(collection, piece, [])
        arrays, _ = images.first_root(lambda root, _: read(root, False), lambda *_: None, [])
        return arrays is not None

    for collection in collections:
        _one_of("collections", collection, tuple(COLLECTIONS))
    return all(there(c, piece) for c in collections for piece in COLLECTIONS[c].pieces.values())


@functools.cache
def _recorded_counts() -> dict[str, list[list[int]]]:
    return json.loads(COUNTS.read_text())["counts"]


# --- the files -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Piece:
    """One public file: its addresses, its reader, and the type and md5 of each array in it.

    `pack` names an .npz that may stand in for it.
    """

    file: str
    urls: tuple[str, ...]
    pack: str
    read: Callable[[bytes], dict[str, np.ndarray]]
    arrays: dict[str, tuple[str, str]]


@dataclass(frozen=True)
class Collection:
    """What one group of people published; its key in COLLECTIONS is its folder below the root."""

    title: str
    licence: str
    home: str
    pieces: dict[str, Piece]


def _load(collection: str, part: str) -> dict[str, np.ndarray]:
    arrays, _ = _find(collection, part)
    _show_licence(collection)
    return arrays


@functools.cache  # once in a session is enough
def _show_licence(collection: str) -> None:
    about = COLLECTIONS[collection]
    if "NC" in about.licence:
        print(f"{about.title}: licence {about.licence}, NonCommercial use only ({about.home})")


def _find(collection: str, part: str) -> tuple[dict[str, np.ndarray], Path]:
    """The arrays of one piece and the root they came from; DataError when there is no way to them."""
    piece, tried = COLLECTIONS[collection].pieces[part], []

    def download(root: Path, ours: bool):
        return _download(collection, piece, root, tried, overwrite=ours)

    arrays, root = images.first_root(_reader(collection, piece, tried), download, tried)
    if arrays is None:
        raise images.DataError(
            f"{COLLECTIONS[collection].title} cannot be had. Tried:{images.listed(tried)}\n"
            f"Without a network: put {piece.file} into {collection}/ below a folder that ROBUST_DATA names."
        )
    problems = [(what, why) for what, why in tried if why != images.ABSENT]
    if problems:
        text = f"{piece.file} is from {root}, but not before this went wrong:{images.listed(problems)}"
        warnings.warn(text, stacklevel=4)
    return arrays, root


def _reader(collection: str, piece: Piece, tried: list) -> Callable:
    """A function (root, ours) -> the piece's arrays from its file or pack there, None if neither is good."""

    def local(root: Path, ours: bool):
        for name, read in {piece.file: piece.read, piece.pack: _read_npz}.items():
            path = root / collection / name
            try:
                return _arrays(piece, read, path.read_bytes())
            except FileNotFoundError:
                why = images.ABSENT
            except OSError as error:
                why = images.reason(error)
            except ValueError as error:
                why = str(error)
                if ours and name == piece.file:
                    path.unlink()
                    why += ", removed"
            tried.append((str(path), why))
        return None

    return local


def _download(collection: str, piece: Piece, root: Path, tried: list, overwrite: bool):
    """The piece's arrays, its file laid below root, from the first address that sends it whole; or None.

    Raises OSError when root cannot be written.
    """
    import urllib3

    nearest = next(folder for folder in (root, *root.absolute().parents) if folder.exists())
    with tempfile.TemporaryDirectory(dir=nearest, prefix=".robust-losses-download-") as scratch:
        for url in piece.urls:
            path = Path(scratch) / piece.file
            try:
                images.fetch(url, str(path))
                blob = path.read_bytes()
                arrays = _arrays(piece, piece.read, blob)
            except (OSError, ValueError, urllib3.exceptions.HTTPError) as error:
                tried.append((url, images.reason(error)))
                continue
            images.place({piece.file: blob}, Path(scratch), root / collection, overwrite)
            return arrays
    return None


def _arrays(piece: Piece, read: Callable, blob: bytes) -> dict[str, np.ndarray]:
    """The piece's arrays from a file's bytes, each in its type; ValueError says what is wrong with them."""
    arrays = {}
    try:
        content = read(blob)
        for name, (dtype, _) in piece.arrays.items():
            arrays[name] = np.ascontiguousarray(content[name]).astype(dtype)
    except pickle.UnpicklingError as error:  # torch's text of many lines advises to switch its guard off
        asked = re.search(r"GLOBAL (\S+)", str(error))
        why = f"it asks for {asked[1]}, which is no part of an array" if asked else "no pickle of arrays"
        raise ValueError(f"refused ({len(blob):,} bytes): {why}") from None
    except Exception as error:  # readers raise whatever a broken file makes them stumble over
        raise ValueError(f"unreadable ({len(blob):,} bytes): {images.reason(error)[:100]}") from None
    for name, (_, expected) in piece.arrays.items():
        found = md5(arrays[name].tobytes(), usedforsecurity=False).hexdigest()
        if found != expected:
            raise ValueError(f"altered: {name} has md5 {found}, expected {expected}")
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


def _one_of(argument: str, given: str, allowed: tuple[str, ...]) -> None:
    if given not in allowed:
        raise ValueError(f"{argument} must be one of {', '.join(allowed)}; got {given!r}")


_VOTES = (
    "test_index", "given_label", "guessed_label",
    "votes_given", "votes_guessed", "votes_neither", "votes_both",
)  # fmt: skip
_NOISY = {
    "cifar10n": {
        "aggregate": "aggre_label",
        "random1": "random_label1",
        "random2": "random_label2",
        "random3": "random_label3",
        "worst": "worse_label",
    },
    "cifar100n": {"fine": "noisy_label"},
}


def _typed(md5sums: str, dtype: str = "<i8") -> dict[str, tuple[str, str]]:
    """From lines "md5 name" what Piece calls `arrays`."""
    return {name: (dtype, found) for found, name in (line.split() for line in md5sums.strip().splitlines())}


def _crowd(name: str, file: str, md5sums: str) -> Piece:
    home = "https://github.com/UCSC-REAL/cifar-10-100n/raw/main/data/"
    urls = (home + file, f"http://www.yliuu.com/web-cifarN/files/{file}")  # the authors' repository and page
    return Piece(file, urls, f"{name}.npz", _read_pt, _typed(md5sums))


def _judged(name: str, votes: str, predictions: str, probabilities: str = "") -> dict[str, Piece]:
    """The pieces of one test set in cleanlab/label-errors."""
    home = "https://github.com/cleanlab/label-errors/raw/main/"
    pack = f"{name}_label_errors.npz"

    def piece(folder: str, file: str, read: Callable, arrays: dict) -> Piece:
        return Piece(file, (f"{home}{folder}/{file}",), pack, read, arrays)

    pieces = {
        f"{name} votes": piece("mturk", f"{name}_mturk.json", _read_votes, _typed(votes)),
        f"{name} predictions": piece(
            "cross_validated_predicted_labels",
            f"{name}_test_set_pyx_argmax_predicted_labels.npy",
            _read_npy("predicted_label"),
            _typed(f"{predictions} predicted_label"),
        ),
    }
    if probabilities:
        pieces[f"{name} probabilities"] = piece(
            "cross_validated_predicted_probabilities",
            f"{name}_test_set_pyx.npy",
            _read_npy("pred_prob"),
            _typed(f"{probabilities} pred_prob", "<f4"),
        )
    return pieces


def _soft(part: str, checksum: str, dtype: str) -> Piece:
    file = f"cifar10h-{part}.npy"
    urls = (f"https://github.com/jcpeterson/cifar-10h/raw/master/data/{file}",)
    return Piece(file, urls, "cifar10h.npz", _read_npy(part), _typed(f"{checksum} {part}", dtype))


COLLECTIONS = {
    "cifar-n": Collection(
        title="CIFAR-N (Wei et al. 2022)",
        licence="CC BY-NC 4.0",
        home="https://github.com/UCSC-REAL/cifar-10-100n",
        pieces={
            "cifar10n": _crowd(
                "cifar10n",
                "CIFAR-10_human.pt",
                """
                64a7290ac3c358816975e50453f50b5c clean_label
                7ecf9ffabaa79f2ab33a43859cccf355 aggre_label
                e8e1ca656c5172396a5824cc450dd035 worse_label
                4552cf5ec3cda62bb938fd5b498f19be random_label1
                54c39bc498ddafb31e753ce95ebf3aed random_label2
                ad639b52312b5b6d616fea4689ca4b54 random_label3""",
            ),
            "cifar100n": _crowd(
                "cifar100n",
                "CIFAR-100_human.pt",
                """
                a6d83e1ba403abb4d4d51a4851d27312 clean_label
                53374a351a1055aad320aef2fff6a160 noisy_label""",
            ),
        },
    ),
    "label-errors": Collection(
        title="Label errors of test sets (Northcutt, Athalye and Mueller 2021)",
        licence="Apache-2.0",
        home="https://github.com/cleanlab/label-errors",
        pieces=_judged(
            "mnist",
            """
            06897d83a306ace0616da24080a4f722 test_index
            ea298b3734180bd53da2cfc46b8e9098 given_label
            6490dbaa565b6b4cd61365829fc4abf1 guessed_label
            8330d8f12cc452d180e7c05a68d2d68f votes_given
            a05b3b36b1bb686595cafb423cbe8070 votes_guessed
            ac274a3f7b5c56dcedc9ff278d752cd8 votes_neither
            6b431bf2da7c9312b3e5c21e67f6591b votes_both""",
            "decc0ef73ef9ff7b8b21bc51f7a889e3",
            "71fb1e80201b467a6e3c4e636272684c",
        )
        | _judged(
            "cifar10",
            """
            65c1c82a4aa18f8de03a4bf02f5bd939 test_index
            6bafb805efebbc26d876f7f7d99fc790 given_label
            b42e4dfb1d509461ccd422a2ee06f809 guessed_label
            d9f69906545281d01e1a8f88e5c51a82 votes_given
            2066dee3376539aa4f67308dbe79694c votes_guessed
            f69ef875114f73f1b2493b350b325552 votes_neither
            7286a5b2939a0e0de3db5447b0f285a5 votes_both""",
            "9e9bce632782d64758f693c7730363fc",
            "60e5b9ad358d485e0a6c27a6b79addf0",
        )
        | _judged(
            "cifar100",
            """
            1254937455a2e16d75cad4b0c4eb2e0b test_index
            800a4a439ef7863d9e48125301cf9ede given_label
            1f37f8b2c8cab27088e244bd33481b65 guessed_label
            2691da616bb4d665fd90513aa90393a9 votes_given
            62be7fb9cbb4151f72910c57e31c6405 votes_guessed
            44a7628c071c31fb4547a0347de86315 votes_neither
            a30edd2fe48ff1bbe045534190ac701d votes_both""",
            "5f557970411dfadb1141b1ec1810f53a",
        ),
    ),
    "cifar-10h": Collection(
        title="CIFAR-10H (Peterson et al. 2019)",
        licence="CC BY-NC-SA 4.0",
        home="https://github.com/jcpeterson/cifar-10h",
        pieces={
            "counts": _soft("counts", "6d64a4f1a4749da37fff1826dafd9342", "<i8"),
            "probs": _soft("probs", "7ce8f5d733a6e179afbc74e249945487", "<f8"),
        },
    ),
}
