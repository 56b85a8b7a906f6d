import numpy as np
import pytest
import torch
from scipy import stats

from robust_lib import data
from robust_lib.data import noise

# The five fine labels of four super-classes, as the CIFAR-100 page lists them; numbered by the alphabet.
AQUATIC_MAMMALS = [4, 30, 55, 72, 95]  # beaver, dolphin, otter, seal, whale
FISH = [1, 32, 67, 73, 91]  # aquarium_fish, flatfish, ray, shark, trout
PEOPLE = [2, 11, 35, 46, 98]  # baby, boy, girl, man, woman
TREES = [47, 52, 56, 59, 96]  # maple, oak, palm, pine, willow


def labels_of(classes, per_class):
    return torch.arange(classes).repeat_interleave(per_class)


# ---- matrices


def test_uniform_by_hand():
    expected = torch.tensor(
        [[0.7, 0.1, 0.1, 0.1], [0.1, 0.7, 0.1, 0.1], [0.1, 0.1, 0.7, 0.1], [0.1, 0.1, 0.1, 0.7]],
        dtype=torch.float64,
    )
    matrix = noise.uniform(4, 0.3)
    assert matrix.dtype == torch.float64
    torch.testing.assert_close(matrix, expected, rtol=0, atol=1e-15)
    torch.testing.assert_close(noise.uniform(2, 0.25), torch.tensor([[0.75, 0.25], [0.25, 0.75]]).double())


def test_uniform_at_its_limit_hides_the_true_label():
    torch.testing.assert_close(noise.uniform(10, 0.9), torch.full((10, 10), 0.1, dtype=torch.float64))


def test_pair_by_hand():
    expected = torch.tensor([[0.6, 0.4, 0], [0, 0.6, 0.4], [0.4, 0, 0.6]])
    torch.testing.assert_close(noise.pair(3, 0.4), expected.double(), rtol=0, atol=1e-7)


def test_pair_is_superclass_noise_with_one_superclass():
    assert noise.pair(7, 0.2).equal(noise.superclass([3] * 7, 0.2))


@pytest.mark.parametrize("matrix", [noise.uniform, noise.pair])
@pytest.mark.parametrize("classes", [2, 10, 1000])
@pytest.mark.parametrize("rate", [0, 0.1, 0.8, 0.999999])
def test_rows_sum_to_one_and_the_diagonal_keeps_the_rest(matrix, classes, rate):
    values = matrix(classes, rate)
    torch.testing.assert_close(values.sum(1), torch.ones(classes).double(), rtol=0, atol=1e-12)
    torch.testing.assert_close(values.diag(), torch.full((classes,), 1 - rate).double(), rtol=0, atol=1e-7)


def test_superclass_by_hand():
    matrix = noise.superclass([0, 1, 0, 1, 0], 0.3)  # 0 -> 2 -> 4 -> 0 and 1 -> 3 -> 1
    flips = {(0, 2), (2, 4), (4, 0), (1, 3), (3, 1)}
    for i in range(5):
        for j in range(5):
            expected = 0.7 if i == j else 0.3 if (i, j) in flips else 0
            assert matrix[i, j].item() == pytest.approx(expected, abs=1e-15)


def test_cifar100_noise_stays_in_its_superclass_and_blocks_of_five_do_not():
    groups = torch.tensor(data.cifar100_superclasses())

    def classes_that_leave(matrix):
        target = (matrix - torch.diag(matrix.diag())).argmax(1)
        return (groups[target] != groups).sum().item()

    ours = noise.superclass(groups, 0.4)
    assert classes_that_leave(ours) == 0
    # What four public repositories do instead.
    assert classes_that_leave(noise.superclass(torch.arange(100) // 5, 0.4)) == 94
    for members in (AQUATIC_MAMMALS, FISH, PEOPLE, TREES):
        for this, following in zip(members, members[1:] + members[:1], strict=True):
            assert ours[this, following] == 0.4
    assert ((ours > 0).sum(1) == 2).all()


def test_class_dependent_by_hand():
    matrix = noise.class_dependent([2, 1, 2, 0], 0.25)
    expected = torch.tensor([[0.75, 0, 0.25, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0.25, 0, 0, 0.75]])
    assert matrix.equal(expected.double())
    assert noise.class_dependent([1, 2, 0], 0.3).equal(noise.pair(3, 0.3))


def test_cifar10_look_alikes_are_patrinis():
    names, following = data.CIFAR10, data.cifar10_look_alikes()
    flips = {(names[i], names[j]) for i, j in enumerate(following) if i != j}
    both_ways = {("cat", "dog"), ("dog", "cat")}
    assert flips == both_ways | {("truck", "automobile"), ("bird", "airplane"), ("deer", "horse")}
    assert noise.class_dependent(following, 0.4).diag().mean().item() == pytest.approx(0.8)


# ---- rows of single samples


def test_instance_rows_by_plain_loops():
    rng = np.random.default_rng(3)
    labels, features = rng.integers(0, 4, 300), 0.3 * rng.standard_normal((300, 5))
    rows = noise.instance_dependent(labels, features, 4, 0.2, seed=8).numpy()
    draw = np.random.default_rng([8, *b"instance noise"])
    q = stats.truncnorm(-2, 8, 0.2, 0.1).ppf(draw.random(300))
    q *= 0.2 / q.mean()
    projections = [draw.standard_normal((5, 4)) for _ in range(4)]
    for n, y in enumerate(labels):
        others = [j for j in range(4) if j != y]
        sizes = np.array([np.exp(sum(features[n] * projections[y][:, j])) for j in others])
        expected = np.insert(q[n] * sizes / sizes.sum(), y, 1 - q[n])
        np.testing.assert_allclose(rows[n], expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("rate", [0.0, 0.05, 0.1, 0.4, 0.5, 0.7, 0.95])
def test_instance_rows_have_the_rate(rate):
    labels = labels_of(10, 200)
    features = 400 * torch.randn(2000, 6, generator=torch.Generator().manual_seed(0))  # exp(400) overflows
    rows = noise.instance_dependent(labels, features, 10, rate, seed=1)
    own = rows.gather(1, labels[:, None]).squeeze(1)
    assert (1 - own).mean().item() == pytest.approx(rate, abs=1e-9)
    assert (rows >= 0).all()
    torch.testing.assert_close(rows.sum(1), torch.ones(2000).double(), rtol=0, atol=1e-12)
    if 0.3 < rate < 0.7:  # the cuts at 0 and 1 are far
        assert own.std().item() == pytest.approx(0.1, rel=0.1)


def test_instance_rows_without_features_to_tell_are_uniform_noise():
    labels = labels_of(5, 40)
    rows = noise.instance_dependent(labels, np.zeros((200, 3)), 5, 0.3, seed=0)
    wrong = rows.masked_fill(torch.nn.functional.one_hot(labels, 5).bool(), float("nan"))
    assert (wrong.nan_to_num(0).amax(1) - wrong.nan_to_num(1).amin(1)).abs().max() < 1e-15


def test_instance_rows_neither_read_nor_move_the_global_state_and_the_seed_decides():
    labels, features = labels_of(3, 20), torch.ones(60, 2)
    np.random.seed(1)
    first = noise.instance_dependent(labels, features, 3, 0.4, seed=4)
    after = np.random.rand()
    np.random.seed(1)
    assert np.random.rand() == after
    assert noise.instance_dependent(labels.numpy(), features.numpy(), 3, 0.4, seed=4).equal(first)
    assert not noise.instance_dependent(labels, features, 3, 0.4, seed=5).equal(first)


# ---- corruption


@pytest.mark.parametrize("classes", [2, 10, 100])
@pytest.mark.parametrize("rate", [0.05, 0.1, 0.4, 0.8])
def test_the_draws_follow_the_matrix(classes, rate):
    samples = 200_000
    labels = labels_of(classes, samples // classes)
    matrix = noise.uniform(classes, rate)
    result = noise.corrupt(labels, matrix, seed=1)
    print(f"K={classes}, rate {rate}: realised {result.rate:.5f}")
    assert stats.binomtest(int(result.mask.sum()), samples, rate).pvalue > 1e-5
    counts = noise.estimate(labels, result.labels, classes)[1].double()
    statistic = ((counts - matrix * samples / classes) ** 2 / (matrix * samples / classes)).sum().item()
    assert 1e-5 < stats.chi2.sf(statistic, classes * (classes - 1)) < 1 - 1e-5


def test_what_the_result_holds():
    labels = labels_of(10, 100)
    result = noise.corrupt(labels, noise.uniform(10, 0.3), seed=9)
    assert (result.labels.dtype, result.mask.dtype) == (torch.int64, torch.bool)
    assert result.mask.equal(result.labels != labels)
    assert result.rate == result.mask.sum().item() / 1000
    assert result.transition_matrix.equal(noise.uniform(10, 0.3))
    assert result.seed == 9
    assert labels.equal(labels_of(10, 100))
    with pytest.raises(AttributeError):
        result.rate = 0.0


def test_rate_zero_changes_nothing():
    labels = labels_of(100, 100)
    for matrix in (
        noise.uniform(100, 0),
        noise.pair(100, 0),
        torch.eye(100),
        noise.superclass([0] * 100, 0.0),
    ):
        result = noise.corrupt(labels, matrix, seed=3)
        assert result.labels.equal(labels)
        assert result.rate == 0


def test_a_class_of_probability_zero_is_never_drawn():
    matrix = torch.tensor([[0, 0.5, 0, 0.5, 0], [1, 0, 0, 0, 0], [0, 0, 0, 0, 1], [0.2] * 5, [0, 0, 1, 0, 0]])
    counts = noise.estimate(
        labels_of(5, 20_000), noise.corrupt(labels_of(5, 20_000), matrix, seed=0).labels, classes=5
    )[1]
    assert ((counts > 0) == (matrix > 0)).all()


def test_a_row_that_ends_below_one_stays_in_range(monkeypatch):
    class Highest:
        def random(self, samples):
            return np.full(samples, np.nextafter(1, 0))

    monkeypatch.setattr(np.random, "default_rng", lambda key: Highest())
    matrix = [[0.5, 0.4999995, 0, 0], [0.9999995, 0, 0, 0], [0.25] * 4, [0, 0.3, 0.7, 0]]
    assert noise.corrupt([0, 1, 2, 3], matrix, seed=0).labels.tolist() == [1, 0, 3, 2]


def test_the_lowest_draw_skips_leading_zeros(monkeypatch):
    class Lowest:
        def random(self, samples):
            return np.zeros(samples)

    monkeypatch.setattr(np.random, "default_rng", lambda key: Lowest())
    assert noise.corrupt([0, 1], [[0, 1], [0, 1]], seed=0).labels.tolist() == [1, 1]


def test_float32_rows_of_many_classes_are_accepted():
    labels = labels_of(1000, 5)
    result = noise.corrupt(labels, noise.uniform(1000, 0.4).float(), seed=0)
    assert result.rate == pytest.approx(0.4, abs=0.04)


def test_the_seed_decides():
    labels, matrix = labels_of(10, 200), noise.uniform(10, 0.4)
    first, again, other = (noise.corrupt(labels, matrix, seed).labels for seed in (7, 7, 8))
    assert first.equal(again)
    assert not first.equal(other)


def test_recorded_draw():
    # Recorded once: a change of the stream changes every published number of the course.
    labels = noise.corrupt(torch.arange(10).repeat(2), noise.uniform(10, 0.4), seed=0).labels
    assert labels.tolist() == [0, 1, 2, 3, 3, 9, 5, 5, 8, 9, 0, 6, 2, 8, 4, 5, 6, 7, 8, 9]


def test_the_draws_are_those_of_a_plain_loop():
    matrix = np.random.default_rng(6).dirichlet(np.full(7, 0.3), size=7)
    labels = np.random.default_rng(7).integers(0, 7, size=500)
    expected = []
    for label, draw in zip(labels, np.random.default_rng([11, *b"label noise"]).random(500), strict=True):
        noisy, reached = 0, matrix[label, 0]
        while reached <= draw:
            noisy += 1
            reached += matrix[label, noisy]
        expected.append(noisy)
    assert noise.corrupt(labels, matrix, seed=11).labels.tolist() == expected


def test_noise_of_two_seeds_is_independent():
    labels, matrix = torch.zeros(100_000, dtype=torch.int64), noise.uniform(2, 0.4)
    both = noise.corrupt(labels, matrix, 0).mask & noise.corrupt(labels, matrix, 1).mask
    assert stats.binomtest(int(both.sum()), 100_000, 0.16).pvalue > 1e-5


def test_it_neither_reads_nor_moves_the_global_random_states():
    labels, matrix = labels_of(10, 50), noise.uniform(10, 0.4)
    torch.manual_seed(1)
    np.random.seed(1)
    first = noise.corrupt(labels, matrix, seed=0).labels
    after = torch.rand(3), np.random.rand(3)
    torch.manual_seed(1)
    np.random.seed(1)
    assert after[0].equal(torch.rand(3))
    assert (after[1] == np.random.rand(3)).all()
    assert noise.corrupt(labels, matrix, seed=0).labels.equal(first)


def test_equal_rows_within_a_class_are_a_transition_matrix():
    matrix = torch.from_numpy(np.random.default_rng(6).dirichlet(np.full(7, 0.3), size=7))
    matrix[0] = torch.tensor([0, 0.5, 0, 0.4999995, 0, 0, 0])  # a row that ends below one
    labels = torch.from_numpy(np.random.default_rng(7).integers(0, 7, size=2000))
    by_matrix = noise.corrupt(labels, matrix, seed=11)
    each = noise.corrupt_each(labels, matrix[labels], seed=11)
    assert each.labels.equal(by_matrix.labels)
    assert (each.rate, each.seed) == (by_matrix.rate, 11)
    torch.testing.assert_close(each.transition_matrix, matrix, rtol=0, atol=1e-12)


def test_corrupt_each_at_the_ends_of_a_row(monkeypatch):
    class Ends:
        def random(self, samples):
            return np.array([0, np.nextafter(1, 0)])

    monkeypatch.setattr(np.random, "default_rng", lambda key: Ends())
    rows = [[0, 0.5, 0.5, 0], [0.5, 0.4999995, 0, 0]]
    result = noise.corrupt_each([1, 0], rows, seed=0)
    assert result.labels.tolist() == [1, 1]
    assert result.mask.tolist() == [False, True]
    assert result.transition_matrix[[2, 3]].isnan().all()
    assert result.transition_matrix[0].tolist() == rows[1]


def test_labels_of_any_integer_kind_give_the_same_noise():
    labels, matrix = labels_of(10, 50), noise.uniform(10, 0.4)
    expected = noise.corrupt(labels, matrix, seed=0).labels
    read_only = labels.numpy().copy()
    read_only.flags.writeable = False
    for given in (labels.to(torch.uint8), labels.to(torch.int32), read_only, labels.tolist()):
        assert noise.corrupt(given, matrix, seed=0).labels.equal(expected)
    assert noise.corrupt(labels, matrix.numpy(), seed=np.int64(0)).labels.equal(expected)
    assert noise.corrupt(labels, matrix.tolist(), seed=0).labels.equal(expected)


def test_the_matrix_kept_is_a_copy():
    matrix = noise.uniform(3, 0.3)
    result = noise.corrupt([0, 1, 2], matrix, seed=0)
    matrix.zero_()
    assert result.transition_matrix.equal(noise.uniform(3, 0.3))


# ---- estimate


def test_estimate_by_hand():
    matrix, counts = noise.estimate([0, 0, 0, 0, 1, 1, 2], [0, 0, 0, 2, 1, 0, 2], classes=3)
    assert counts.tolist() == [[3, 0, 1], [1, 1, 0], [0, 0, 1]]
    assert matrix.tolist() == [[0.75, 0, 0.25], [0.5, 0.5, 0], [0, 0, 1]]
    assert (matrix.dtype, counts.dtype) == (torch.float64, torch.int64)


def test_estimate_says_nan_where_nothing_is_known():
    matrix, counts = noise.estimate([0, 2], [1, 2], classes=3)
    assert matrix.isnan().all(dim=1).tolist() == [False, True, False]
    assert counts.sum() == 2
    with pytest.raises(ValueError, match=r"entries must lie in \[0, 1\], got nan in row 1"):
        noise.corrupt([0, 2], matrix, seed=0)


def test_estimate_finds_the_matrix_again():
    labels, matrix = labels_of(10, 100_000), noise.pair(10, 0.3)
    found = noise.estimate(labels, noise.corrupt(labels, matrix, seed=0).labels, 10)[0]
    torch.testing.assert_close(found, matrix, rtol=0, atol=0.008)


# ---- wrong input


@pytest.mark.parametrize("rate", [-0.1, 1, 1.5, float("nan"), "0.4", None, True])
@pytest.mark.parametrize("make", [noise.uniform, noise.pair])
def test_wrong_rates(make, rate):
    with pytest.raises(ValueError, match=r"rate must be a number in \[0, 1\), got"):
        make(10, rate)


@pytest.mark.parametrize("classes", [1, 0, -3, 10.0, True])
@pytest.mark.parametrize("make", [noise.uniform, noise.pair])
def test_wrong_class_counts(make, classes):
    with pytest.raises(ValueError, match="classes must be an integer >= 2, got"):
        make(classes, 0.1)


def test_wrong_superclasses():
    with pytest.raises(
        ValueError, match="at least 2 classes in each super-class, got only class 2 in super-class 5"
    ):
        noise.superclass([1, 1, 5, 0, 0], 0.1)
    with pytest.raises(ValueError, match="groups must be 1-D"):
        noise.superclass([[0, 0], [1, 1]], 0.1)
    with pytest.raises(ValueError, match="rate must be"):
        noise.superclass([0, 0], 1)


def test_wrong_followers():
    with pytest.raises(ValueError, match=r"following must be in 0\.\.2, got 0 to 3"):
        noise.class_dependent([1, 3, 0], 0.1)
    with pytest.raises(ValueError, match="following must be integers, got float64"):
        noise.class_dependent([0.0, 1.0], 0.1)
    with pytest.raises(ValueError, match="rate must be"):
        noise.class_dependent([1, 0], 1)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"labels": [0, 2]}, r"labels must be in 0\.\.1, got 0 to 2"),
        ({"features": [[1.0], [2.0], [3.0]]}, r"features must be of shape \(2, D\), .* got \(3, 1\)"),
        ({"features": [1.0, 2.0]}, r"a row for each label, got \(2,\)"),
        ({"features": [[1.0], [float("nan")]]}, "features must be finite, got NaN or infinity"),
        ({"classes": 1}, "classes must be an integer >= 2, got 1"),
        ({"rate": 1.0}, "rate must be a number in"),
        ({"seed": -1}, "seed must be an integer >= 0, got -1"),
    ],
)
def test_wrong_instance_noise(changed, message):
    given = {"labels": [0, 1], "features": [[1.0], [2.0]], "classes": 2, "rate": 0.1, "seed": 0}
    with pytest.raises(ValueError, match=message):
        noise.instance_dependent(**given | changed)


@pytest.mark.parametrize(
    ("labels", "rows", "message"),
    [
        ([0, 1], [[1, 0]], r"probs must be of shape \(2, K\), a row for each label, got \(1, 2\)"),
        ([0, 1], [1, 0], r"a row for each label, got \(2,\)"),
        ([0, 1], [[1, 0], [0.5, 0.4]], "probs rows must sum to 1, got 0.9 in row 1"),
        ([0, 1], [[1, 0], [1.5, -0.5]], r"probs entries must lie in \[0, 1\], got 1.5 in row 1"),
        ([0, 2], [[1, 0], [0, 1]], r"labels must be in 0\.\.1, got 0 to 2"),
    ],
)
def test_wrong_rows(labels, rows, message):
    with pytest.raises(ValueError, match=message):
        noise.corrupt_each(labels, rows, seed=0)


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        ([[0.5, 0.4], [0.1, 0.9]], "rows must sum to 1, got 0.9 in row 0"),
        ([[1, 0], [0.5, 0.50001]], "rows must sum to 1, got 1.00001 in row 1"),
        ([[1.2, -0.2], [0, 1]], r"entries must lie in \[0, 1\], got 1.2 in row 0, column 0"),
        ([[1, 0], [-0.5, 1.5]], "got -0.5 in row 1, column 0"),
        ([[1, 0], [float("nan"), 1]], "got nan in row 1, column 0"),
        ([[0.5, 0.5]], r"must be square, got shape \(1, 2\)"),
        ([0.5, 0.5], r"must be square, got shape \(2,\)"),
        (np.zeros((0, 0)), "must be square"),
    ],
)
def test_wrong_matrices(matrix, message):
    with pytest.raises(ValueError, match=message):
        noise.corrupt([0, 1], matrix, seed=0)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 3], r"transition_matrix must have more than 3 rows, the largest label, got 3"),
        ([0, -1], "labels must be >= 0, got -1 to 0"),
        ([0.0, 1.0], "labels must be integers, got float64"),
        (torch.tensor([0.5]), "labels must be integers, got float32"),
        ([True, False], "labels must be integers, got bool"),
        (["a", "b"], "labels must be integers, got <U1"),
        ([[0, 1]], r"labels must be 1-D and not empty, got shape \(1, 2\)"),
        (torch.tensor(1), r"labels must be 1-D and not empty, got shape \(\)"),
        (torch.tensor([], dtype=torch.int64), "labels must be 1-D and not empty"),
    ],
)
def test_wrong_labels(labels, message):
    with pytest.raises(ValueError, match=message):
        noise.corrupt(labels, noise.uniform(3, 0.1), seed=0)


@pytest.mark.parametrize("seed", [-1, 0.5, None, "0", True])
def test_wrong_seeds(seed):
    with pytest.raises(ValueError, match="seed must be an integer >= 0, got"):
        noise.corrupt([0, 1], noise.uniform(2, 0.1), seed)


def test_wrong_estimates():
    with pytest.raises(ValueError, match="true_labels and noisy_labels differ in length: 2 and 3"):
        noise.estimate([0, 1], [0, 1, 1], classes=2)
    with pytest.raises(ValueError, match=r"noisy_labels must be in 0\.\.1, got 0 to 2"):
        noise.estimate([0, 1], [0, 2], classes=2)
    with pytest.raises(ValueError, match="classes must be an integer >= 2"):
        noise.estimate([0, 0], [0, 0], classes=1)
