"""Images, their features, and the wrong labels on them.

Read, in this order: noise (flips under a seed, transition matrices), images (MNIST to CIFAR-100, packed in
mini/ or whole), people (human labels and verdicts), features (of frozen networks),
on_disk (large noisy sets); downloads fetches files.

    train = data.load("mnist", "train")
    flips = data.noise.corrupt(train.labels, data.noise.uniform(10, 0.3), seed=0)  # flips.labels, flips.mask
    images = data.to_float(train.images, train.name)
"""

from robust_lib.data import noise, on_disk, people
from robust_lib.data.downloads import DataError, roots
from robust_lib.data.features import BACKBONE, PACK_MD5, PACK_PIXELS, FeatureSet, extract, load_features
from robust_lib.data.images import (
    CIFAR10,
    MINI_MD5,
    MIRRORS,
    PAIRS,
    SETS,
    ImageSet,
    cifar10_look_alikes,
    cifar100_superclasses,
    load,
    to_float,
)
