"""Images, and the wrong labels on them. Read noise, images, people, on_disk (large noisy sets) in this order;
downloads says where files come from.

train = data.load("mnist", "train")
noisy, flipped = data.noise.corrupt(train.labels, data.noise.uniform(10, 0.3), seed=0)
images = data.to_float(train.images, train.name)
"""

from robust_lib.data import noise, on_disk, people
from robust_lib.data.downloads import DataError, roots
from robust_lib.data.images import (
    CIFAR10,
    MINI_MD5,
    MIRRORS,
    PAIRS,
    SETS,
    ImageSet,
    cifar100_superclasses,
    load,
    to_float,
)
