"""Every loss of the three papers, each written once; the algebra they live in is algebra.py's.

    loss = gce(q=0.7)                         loss(logits, targets, reduction="mean")
    0.3 * nce() + 0.7 * mae()                 sums and multiples
    mae().scaled(tau=2.6, classes=100)        CV's w*(Δ);  .shifted(...) is w+(Δ)
    ce().symmetrized()                        SY's symmetric component
    piecewise_zero(c=0.02).delayed(1)         HS Eq. 6: CE first;  loss.at_epoch(e) picks the part
    gce(q=0.7).unit_max()                     CV's normalisation: largest weight 1
    get("blurry", gamma=0.5), names(), about("gce")

NCE+MAE, NCE+RCE, NFL+RCE, NCE+AUL, NCE+AGCE are sums and have no names of their own. ANL's L1 term is a
penalty on the network, so it belongs to the training recipe. Constants are in float64.
Weight means w = -∂L/∂s_y as a function of p = p_y; r̃ is the largest ratio of a wrong label's probability
to the right one's (CV §3.1), and "every r̃ < 1" says that a loss is asymmetric for each of them.
"""

import math

import torch
import torch.nn.functional as F

from robust_lib.losses import ops
from robust_lib.losses.algebra import (
    Loss,
    MarginLoss,
    RowLoss,
    about,
    composed,
    get,
    margin_loss,
    names,
    row_loss,
)

__all__ = ["Loss", "MarginLoss", "RowLoss", "about", "composed", "get", "margin_loss", "names", "row_loss"]

RCE_A = -math.log(1e-4)  # reverse cross entropy's clamp of log 0 (Wang et al. 2019): 9.21034...
NNCE_P_MIN = 1e-7  # the smallest probability that ANL tells from zero (Ye et al. 2023)

EVERY = r"every $\tilde r < 1$"

# --- losses of p_y alone ------------------------------------------------------------------------------


@margin_loss(symmetric=False, asymmetric="never", source="CV Table 1")
def ce(p, log_p):
    """Cross entropy -log p. Weight 1 - p."""
    return -log_p


@margin_loss(
    gamma="[0, inf)",
    symmetric=False,
    asymmetric="never",
    limits=r"$\gamma=0$: CE",
    source="Lin et al. 2017; CV Table 6, HS §3.2",
)
def focal(p, log_p, gamma=2.0):
    """Focal loss -(1 - p)^γ log p (HS uses γ = 2).

    Weight (1-p)^γ (1 - p - γ p log p). Peers' code stops the gradient of (1-p)^γ; this one does not.
    """
    return -ops.faded_log(log_p, gamma)


@margin_loss(
    symmetric=True,
    total=lambda K: K - 1,
    asymmetric=EVERY,
    source="Ghosh et al. 2017; CV Table 1",
)
def mae(p, log_p):
    """Mean absolute error 1 - p, half of Σ|e_y - p|. Weight p(1 - p)."""
    return ops.one_minus(p, log_p)


@margin_loss(
    symmetric=True,
    total=lambda K: RCE_A * (K - 1),
    asymmetric=EVERY,
    limits="A times MAE",
    source="Wang et al. 2019; CV A.2",
    errata=("cv-5",),
)
def rce(p, log_p):
    """Reverse cross entropy -Σ_i p_i log e_i = A(1 - p) with ln 1e-4 = -A for log 0. Weight A p(1 - p)."""
    return RCE_A * ops.one_minus(p, log_p)


@margin_loss(
    q="(0, 1]",
    symmetric={"q": 1.0},
    asymmetric=f"$q=1$: {EVERY}; else never",
    limits=r"$q\to0$: CE; $q=1$: MAE",
    source="Zhang & Sabuncu 2018; CV Table 1, HS Eq. 2",
)
def gce(p, log_p, q=0.7):
    """Generalized cross entropy (1 - p^q)/q. Weight p^q (1 - p)."""
    return ops.box_cox(log_p, q)


@margin_loss(
    alpha="[0, inf)",
    beta="[0, inf)",
    symmetric={"alpha": 0.0},
    asymmetric=rf"$\alpha=0$: {EVERY}; else never",
    limits=r"$\beta=0$: $\alpha$ CE; $\alpha=0$: $\beta$ RCE",
    source="Wang et al. 2019; CV Table 1",
)
def sce(p, log_p, alpha=0.1, beta=1.0):
    """Symmetric cross entropy α CE + β A (1 - p), A = -ln 1e-4. Weight (α + β A p)(1 - p).

    CV writes (1-q) CE + q MAE: (1 - q) * ce() + q * mae().
    """
    return -alpha * log_p + beta * RCE_A * ops.one_minus(p, log_p)


@margin_loss(
    a="(1, inf)",
    q="(0, inf)",
    symmetric={"q": 1.0},
    asymmetric=rf"$q\le1$: {EVERY}; else $\tilde r\le(1-1/a)^{{q-1}}$",
    limits=r"$q=1$: MAE; $a\to\infty$: $a^{q-1}$ MAE",
    source="Zhou et al. 2021; CV Table 1",
    errata=("cv-1", "cv-2"),
)
def aul(p, log_p, a=1.1, q=5.0):
    """Asymmetric unhinged loss [(a - p)^q - (a - 1)^q]/q. Weight p(1 - p)(a - p)^(q-1).

    Asymmetric for every noise in which the true class is the most frequent label if q <= 1; otherwise the
    noise ratio must stay below (1 - 1/a)^(q-1). CV's Table 6 prints this function under AGCE's name.
    """
    return ((a - p) ** q - (a - 1) ** q) / q


@margin_loss(
    a="(0, inf)",
    q="(0, inf)",
    symmetric={"q": 1.0},
    asymmetric=rf"$q\ge1$: {EVERY}; else $\tilde r\le(1+1/a)^{{q-1}}$",
    limits=r"$q=1$: MAE; $a\to0$: GCE; $a\to\infty$: $a^{q-1}$ MAE",
    source="Zhou et al. 2021; CV Table 1",
    errata=("cv-1", "cv-9"),
)
def agce(p, log_p, a=0.1, q=0.1):
    """Asymmetric GCE [(a + 1)^q - (a + p)^q]/q. Weight p(1 - p)(a + p)^(q-1).

    Asymmetric for every noise in which the true class is the most frequent label if q >= 1; otherwise the
    noise ratio must stay below (a/(a + 1))^(1-q). CV's Table 6 prints this function under AUL's name.
    """
    return ((a + 1) ** q - (a + p) ** q) / q


@margin_loss(
    a="(0, inf)",
    symmetric=False,
    asymmetric=r"$\tilde r\le e^{-1/a}$",
    limits=r"$a\to\infty$: $1 - 1/a$ + MAE$/a$",
    source="Zhou et al. 2021; CV Table 6, where a is called q",
)
def ael(p, log_p, a=2.5):
    """Asymmetric exponential loss exp(-p/a). Weight p(1 - p) exp(-p/a)/a."""
    return ops.exp(-p / a)


@margin_loss(
    t="integer in [1, inf)",
    symmetric={"t": 1},
    asymmetric=r"$\tilde r\le1/t$",
    limits=r"$t=1$: MAE; $t\to\infty$: CE",
    source="Feng et al. 2020; CV Table 6, where t is called q",
    errata=("cv-2",),
    weight=r"(1-p_y)\left(1-(1-p_y)^t\right)",
)
def tce(p, log_p, t=2):
    """Taylor cross entropy Σ_{i=1..t} (1 - p)^i/i. Weight (1 - p)(1 - (1 - p)^t).

    Not the Taylor-softmax loss that goes by TaylorCrossEntropyLoss in much public code.
    """
    return ops.taylor_log(log_p, t)


@margin_loss(
    tau="[1, inf)",
    symmetric={"tau": 1.0},
    asymmetric=r"$\tilde r\le1/\tau$",
    limits=r"$\tau=1$: MAE; $\tau\to\infty$: CE",
    source="Menon et al. 2020; HS §3.2",
)
def phuber_ce(p, log_p, tau=10.0):
    """Partially Huberised CE: -log p for p > 1/τ, else its tangent 1 + ln τ - τp. Weight (1-p) min(1, τp)."""
    return ops.where(p > 1 / tau, -log_p, 1 + ops.log(tau) - tau * p)


@margin_loss(
    gamma="[0, inf)",
    symmetric=False,
    asymmetric="never",
    limits=r"$\gamma=0$: CE",
    source="HS Eq. 4",
)
def blurry(p, log_p, gamma=0.5, stop_gradient=False):
    """Blurry loss -p^γ log p. Weight p^γ (1 - p)(1 + γ log p), negative for p < e^(-1/γ).

    stop_gradient=True treats the factor p^γ as a constant when differentiating; the weight is then
    p^γ (1 - p), which is GCE's with q = γ.
    """
    factor = ops.exp(gamma * log_p)
    return -(ops.constant(factor) if stop_gradient else factor) * log_p


@margin_loss(
    c="[0, 1)",
    symmetric=False,
    asymmetric="never",
    limits="$c=0$: CE",
    source="HS Eq. 5",
)
def piecewise_zero(p, log_p, c=0.02):
    """Piecewise-zero loss: 0 if p <= c, else -log p. Weight (1 - p) for p > c, else 0."""
    return ops.where(p > c, -log_p, 0 * log_p)


@margin_loss(
    eps="[-20, 20]",
    symmetric={"eps": 0.0},
    asymmetric=rf"$\epsilon\le0$: {EVERY}; else $\tilde r\le e^{{-2\epsilon}}$",
    limits=r"$\epsilon=0$: MAE; $\epsilon=\lvert E[\Delta]\rvert-\tau$: CV's shifted MAE",
    source="Staats et al. 2025",
)
def logit_bias_mae(p, log_p, eps=3.0):
    """MAE with eps added to the logit of the given label: 1 - sigmoid(Δ + eps) = (1-p)/(1 - p + p e^eps).

    Weight p'(1 - p') at p' = sigmoid(Δ + eps). CV's mae().shifted(tau, classes) with eps = |E[Δ]| - τ.
    """
    r = ops.one_minus(p, log_p)
    return r / (r + p * ops.exp(eps))


# --- losses of all classes ----------------------------------------------------------------------------


@row_loss(
    symmetric=False,
    limits=r"$=2$ MAE $+\sum_k p_k^2-1$",
    source="Ghosh et al. 2017; CV Table 7",
    latex=r"1-2p_y+\sum_k p_k^2",
    weight=r"2p_yL",
)
def mse(log_p, log_probs):
    """Mean squared error Σ_k (e_k - p_k)² = 1 - 2 p_y + Σ_k p_k², summed over classes, not averaged."""
    return 1 - 2 * torch.exp(log_p) + ops.row_power(log_probs, 2).sum(1, keepdim=True)


@row_loss(
    symmetric=True,
    total=lambda K: 1.0,
    source="Ma et al. 2020; CV Table 1",
    errata=("cv-1", "cv-3", "cv-11"),
    latex=r"\frac{\log p_y}{\sum_k\log p_k}",
    weight=r"\frac{1-p_y+L(Kp_y-1)}{-\sum_k\log p_k}",
)
def nce(log_p, log_probs):
    """Normalised cross entropy log p_y / Σ_k log p_k. Sums to 1 over the labels."""
    return _share(log_p, log_probs)


@row_loss(
    gamma="[0, inf)",
    symmetric=True,
    total=lambda K, gamma: 1.0,
    limits=r"$\gamma=0$: NCE",
    source="Ma et al. 2020",
    latex=r"\frac{f_y}{\sum_k f_k},\quad f_k=(1-p_k)^\gamma\log p_k",
    weight=r"\frac{(1-L)\varphi_y+Lp_y\sum_{k\ne y}\varphi_k/(1-p_k)}{-\sum_k f_k},"
    r"\quad\varphi_k=(1-p_k)^\gamma(1-p_k-\gamma p_k\log p_k)",
)
def nfl(log_p, log_probs, gamma=0.5):
    """Normalised focal loss FL_y / Σ_k FL_k. Sums to 1 over the labels. True gradient (peers stop it)."""
    return _share(ops.faded_log(log_p, gamma), ops.faded_log(log_probs, gamma))


@row_loss(
    symmetric=True,
    total=lambda K: K - 1.0,
    source="Ye et al. 2023; HS Eq. 3",
    latex=r"1-\frac{n_y}{\sum_k n_k},\quad n_k=\max(\log p_k,\log p_{\min})-\log p_{\min}",
    weight=r"\frac{m_y(1-p_y)-(1-L)(m_y-p_y\sum_k m_k)}{\sum_k n_k},\quad m_k=\mathbb{1}_{p_k>p_{\min}}",
)
def nnce(log_p, log_probs):
    """Normalised negative cross entropy 1 - n_y / Σ_k n_k, n_k = A + log p_k, A = -ln p_min, p_min = 1e-7.

    Sums to K - 1. By its definition p_k counts as p_min where it is smaller, so a label with p_y < p_min
    has no gradient of its own.
    """
    return 1 - _cut_share(log_p, log_probs)


@row_loss(
    gamma="[0, inf)",
    symmetric=True,
    total=lambda K, gamma: K - 1.0,
    limits=r"$\gamma=0$: NNCE",
    source="Ye et al. 2023; HS Eq. 3",
    latex=r"1-\frac{n_y}{\sum_k n_k},\quad n_k=f(\max(p_k,p_{\min}))-f(p_{\min}),"
    r"\quad f(p)=(1-p)^\gamma\log p",
    weight=r"\frac{\varphi_y-(1-L)\left(\varphi_y-p_y\sum_{k\ne y}\varphi_k/(1-p_k)\right)}{\sum_k n_k},"
    r"\quad\varphi_k=\mathbb{1}_{p_k>p_{\min}}\cdot(1-p_k)^\gamma(1-p_k-\gamma p_k\log p_k)",
)
def nnfl(log_p, log_probs, gamma=0.5):
    """Normalised negative focal loss 1 - (A - FL_y) / Σ_k (A - FL_k), A = FL at p_min = 1e-7. Sums to K - 1.

    p_k counts as p_min where it is smaller, as in NNCE. True gradient (peers stop the factor's).
    """
    return 1 - _cut_share(ops.faded_log(log_p, gamma), ops.faded_log(log_probs, gamma), gamma)


def _share(given, row):
    return given / row.sum(1, keepdim=True)


def _cut_share(given, row, gamma=0.0):
    """The share of n_y = f_y - F in Σ_k n_k, for f = (1-p)^γ log p cut at F, its value at p_min."""
    floor = (1 - NNCE_P_MIN) ** gamma * math.log(NNCE_P_MIN)
    return _share(F.relu(given - floor), F.relu(row - floor))


@row_loss(
    alpha="[0, inf)",
    beta="[0, inf)",
    symmetric=True,
    total=lambda K, alpha, beta: alpha + beta * (K - 1),
    limits=r"$\beta=0$: $\alpha$ NCE",
    source="Ye et al. 2023; HS Eq. 3",
    latex=r"\alpha L_\mathrm{NCE}+\beta L_\mathrm{NNCE}",
    weight=r"\alpha w_\mathrm{NCE}+\beta w_\mathrm{NNCE}",
)
def anl_ce(log_p, log_probs, alpha=5.0, beta=5.0):
    """Active negative loss α NCE + β NNCE; its δ ‖θ‖₁ is the training recipe's. Sums to α + β(K - 1)."""
    return alpha * _share(log_p, log_probs) + beta * (1 - _cut_share(log_p, log_probs))


@row_loss(
    alpha="[0, inf)",
    beta="[0, inf)",
    gamma="[0, inf)",
    symmetric=True,
    total=lambda K, alpha, beta, gamma: alpha + beta * (K - 1),
    limits=r"$\gamma=0$: ANL-CE",
    source="Ye et al. 2023; HS Eq. 3",
    errata=("hs-1",),
    latex=r"\alpha L_\mathrm{NFL}+\beta L_\mathrm{NNFL}",
    weight=r"\alpha w_\mathrm{NFL}+\beta w_\mathrm{NNFL}",
)
def anl_fl(log_p, log_probs, alpha=5.0, beta=5.0, gamma=0.5):
    """Active negative loss α NFL + β NNFL; its δ ‖θ‖₁ is the training recipe's. Sums to α + β(K - 1)."""
    given, row = ops.faded_log(log_p, gamma), ops.faded_log(log_probs, gamma)
    return alpha * _share(given, row) + beta * (1 - _cut_share(given, row, gamma))


@row_loss(
    alpha="(-inf, 1]",
    symmetric=False,
    limits=r"$=$ CE $-\alpha$ unhinged; $\alpha=0$: CE",
    source="Lukasik et al. 2020, Wei et al. 2021; CV Table 7",
    latex=r"-(1-\alpha)\log p_y-\frac{\alpha}{K}\sum_k\log p_k",
    weight=r"(1-\alpha)(1-p_y)+\alpha\left(\frac{1}{K}-p_y\right)",
)
def gls(log_p, log_probs, alpha=0.1):
    """CE with generalised label smoothing: -Σ_i [(1-α) e_i + α/K] log p_i. α < 0 is negative smoothing."""
    return -(1 - alpha) * log_p - alpha * log_probs.mean(1, keepdim=True)


@row_loss(
    beta="[0, inf)",
    symmetric={"beta": 1.0},
    limits=r"$\beta=0$: CE; $\beta=1$, uniform prior: unhinged (symmetric only then)",
    source="Cheng et al. 2021; CV Table 7",
    latex=r"-\log p_y+\beta\sum_k\pi_k\log p_k",
    weight=r"1-p_y-\beta(\pi_y-p_y)",
)
def cr(log_p, log_probs, beta=1.0, prior=None):
    """CE with the confidence regulariser: -log p_y + β Σ_k π_k log p_k, π = P(given label = k).

    prior: K probabilities (a tuple), or None for the uniform one. β = 1 with the labels' frequencies is
    peer loss in expectation (CV A.5). Unbounded below. ValueError for a prior of another length or sum.
    """
    if prior is None:
        return -log_p + beta * log_probs.mean(1, keepdim=True)
    pi = torch.as_tensor(prior, dtype=log_probs.dtype, device=log_probs.device)
    if pi.shape != log_probs.shape[1:] or min(prior) < 0 or abs(sum(prior) - 1) > 1e-6:
        raise ValueError(
            f"cr's prior must be {log_probs.shape[1]} probabilities that sum to 1, got {prior!r}"
        )
    return -log_p + beta * (log_probs @ pi).unsqueeze(1)


@composed(
    limits=r"expectation: CR with $\beta=1$",
    source="Liu & Guo 2020; CV Table 7",
    latex=r"-\log p_y+\log p_{m}(x_n)",
    weight=r"1-p_y\text{, less the same for the random pairs}",
)
def peer():
    """Peer loss of CE: -log p_y(x) + log p_m(x_n), sample n and label m drawn from the batch.

    The batch's scores and labels are permuted independently at every call, by torch's default generator
    (training.fit seeds it). Unbounded below.
    """
    return ce().peered()


@row_loss(
    symmetric=True,
    total=lambda K: 0.0,
    source="SY (abstract)",
    latex=r"\frac{1}{K}\sum_k s_k-s_y",
    weight=r"1-\frac{1}{K}",
)
def unhinged(log_p, log_probs):
    """Multi-class unhinged loss mean(s) - s_y = ce().symmetrized(), linear in the scores s; not MAE.

    The definition is ours: SY's abstract says that symmetrising CE gives a linear loss, and this is what it
    gives. Symmetric (sum 0), convex, smoothness β = 0; unbounded below, so scores must be bounded.
    """
    return log_probs.mean(1, keepdim=True) - log_p


@row_loss(
    q="(0, 1]",
    symmetric=True,
    total=lambda K, q: 0.0,
    limits=r"$q\to0$: unhinged; $q=1$: MAE $-1+1/K$",
    source="SY (abstract)",
    latex=r"\frac{1}{q}\left(\frac{1}{K}\sum_k p_k^q-p_y^q\right)",
    weight=r"p_y^q\left(1-p_y-\frac{1}{K}\right)+\frac{p_y}{K}\sum_k p_k^q",
)
def sgce(log_p, log_probs, q=0.7):
    """Symmetrised GCE (mean_k p_k^q - p_y^q)/q = gce(q).symmetrized().

    The definition is ours: SY's abstract only says that SGCE lies between the unhinged loss and MAE and
    controls smoothness. This one is symmetric (sum 0) and has both limits. Its smoothness is bounded by
    sgce_smoothness; for K >= 3 q controls it only where the scores are bounded, as SY's networks bound them.
    """
    # One exponential for the whole row; its rounding over q is far below the mean it goes into.
    return ops.box_cox(log_p, q) - (1 - ops.row_power(log_probs, q).mean(1, keepdim=True)) / q


@row_loss(
    alpha="(0, 1]",
    symmetric=True,
    total=lambda K, alpha: 0.0,
    limits=r"$\alpha\to0$: unhinged; $\alpha=1$: $K$ MAE $-K+1$",
    source="SY (abstract)",
    latex=r"\frac{K}{\alpha}\left(\frac{1}{K}-p'_y\right),\quad p'=\mathrm{softmax}(\alpha s)",
    weight=r"Kp'_y(1-p'_y)",
)
def alpha_mae(log_p, log_probs, alpha=0.5):
    """α-MAE (K/α)(1/K - softmax(αs)_y), from the unhinged loss to K times MAE.

    The definition is ours: SY's abstract only says that α-MAE lies between the unhinged loss and MAE and
    controls smoothness. This one is symmetric (sum 0), has both limits, and is β-smooth with β = αK/(3√3)
    exactly (alpha_mae_smoothness).
    """
    classes = log_probs.shape[1]
    # Needs no shift by the largest score: the largest p_k is at least 1/K, so the sum is neither 0 nor inf.
    normaliser = ops.row_power(log_probs, alpha).sum(1, keepdim=True).log()
    log_kp = alpha * log_p - normaliser + math.log(classes)
    return ops.box_cox(log_kp, 1) / alpha


# --- smoothness ---------------------------------------------------------------------------------------


def alpha_mae_smoothness(alpha: float, classes: int) -> float:
    """β of α-MAE, the Lipschitz constant of its gradient with respect to the scores: αK/(3√3), attained.

    Why: the Hessian is Kα that of MAE at αs. With x = 2p_y - 1 and π the other classes' shares, MAE's is
    p_y(1-p_y) [x gg' + diag π - ππ'], g = ∇Δ. For a unit vector v the value v'Hv grows with the spread of π,
    so two other classes suffice, and then its largest size is p(1-p) max(2|x|, 1/2); the maximum over p_y
    is 1/(3√3), at p_y = (1 ± 1/√3)/2 with one other class.
    """
    return alpha * classes / (3 * math.sqrt(3))


def sgce_smoothness(q: float, classes: int, spread: float = math.inf) -> float:
    """Upper bound on β of SGCE where max_k s_k - min_k s_k <= spread:

    (1 - 1/K) [2q c + (1 - e^(-q spread))/2], c = max_p p^q (1-p)² = (q/(q+2))^q (2/(q+2))².
    Why: with a_k = e_k - p and C = diag p - pp', the Hessian is
    (p_y^q - mean_k p_k^q) C - q [p_y^q a_y a_y' - mean_k p_k^q a_k a_k'],
    where ‖C‖ <= 1/2, ‖a_k‖² <= 2(1-p_k)², and p_y^q and p_k^q differ by a factor of e^(-q spread) at most.
    Goes to 0 with q only for finite spread: at p = (1/2, 1/2, 0, …) its norm is near (1 - 2/K)/2.
    """
    c = (q / (q + 2)) ** q * (2 / (q + 2)) ** 2
    return (1 - 1 / classes) * (2 * q * c - math.expm1(-q * spread) / 2)
