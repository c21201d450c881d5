"""Model recordings with known truth: labels (n_frames, n_atoms) of a seed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int32]
Float = NDArray[np.float64]

RATES = np.array([[0.95, 0.05, 0.0], [0.08, 0.91, 0.01], [0.0, 0.1, 0.9]])
"""Three environments in a row; in equilibrium, as every chain of neighbors is."""
RARE = np.array([[0.90, 0.0999, 0.0001], [0.1, 0.90, 0.0], [0.05, 0.0, 0.95]])
"""From environment 0, moves to 1 are common and moves to 2 are rare."""
SELDOM = np.array([[0.90, 0.0995, 0.0005], [0.1, 0.90, 0.0], [0.05, 0.0, 0.95]])
"""As `RARE`, five times as often: for atoms that move together."""
SLOW = np.array([[0.99, 0.01], [0.01, 0.99]])
"""Two environments; atoms stay for 100 frames."""
FLIP = 0.05
"""Mean probability to change between two environments in the models of `flips`."""


def chain(
    seed: int, matrix: Float = RATES, n_frames: int = 200, n_atoms: int = 100, together: int = 1
) -> Labels:
    """Atoms that follow a transition matrix, so many at a time along one path."""
    rng = np.random.default_rng(seed)
    values, vectors = np.linalg.eig(matrix.T)
    shares = np.abs(np.real(vectors[:, np.argmax(np.real(values))]))
    ends = matrix.cumsum(axis=1)[:, :-1]
    n_paths = n_atoms // together
    states = np.empty((n_frames, n_paths), dtype=np.int32)
    states[0] = rng.choice(len(matrix), size=n_paths, p=shares / shares.sum())
    for k in range(1, n_frames):
        states[k] = (rng.random(n_paths)[:, None] > ends[states[k - 1]]).sum(axis=1)
    return np.repeat(states, together, axis=1)


def flips(rng: np.random.Generator, rates: Float) -> Labels:
    """Atoms that change between two environments, (n_frames - 1, n_atoms) probabilities.

    Each environment holds half of the atoms on average, whatever the rates are: the true
    probability of a move is the mean of the rates.
    """
    moved = rng.random(rates.shape) < rates
    first = rng.integers(2, size=(1, rates.shape[1]))
    return ((first + np.concatenate([0 * first, moved.cumsum(axis=0)])) % 2).astype(np.int32)


def breathing(
    seed: int, held: int, n_frames: int = 200, n_atoms: int = 100, *, alike: bool = True
) -> Labels:
    """A rate of all atoms, between 0 and twice `FLIP`, drawn anew after `held` frames.

    Atoms that are not alike have factors of their own, exponential with the mean 1.
    """
    rng = np.random.default_rng(seed)
    levels = rng.uniform(0.0, 2.0 * FLIP, n_frames // held + 2)
    start = rng.integers(held)
    rate = levels[(np.arange(n_frames - 1) + start) // held]
    factors = np.ones(n_atoms) if alike else rng.exponential(size=n_atoms)
    return flips(rng, np.minimum(1.0, rate[:, None] * factors))


def wandering(seed: int, memory: float, n_frames: int = 200, n_atoms: int = 100) -> Labels:
    """A rate of all atoms, uniform between 0 and twice `FLIP`, with an exponential memory."""
    from scipy.stats import norm

    rng = np.random.default_rng(seed)
    keep = np.exp(-1.0 / memory)
    noise = rng.normal(size=n_frames - 1)
    for k in range(1, n_frames - 1):
        noise[k] = keep * noise[k - 1] + np.sqrt(1.0 - keep**2) * noise[k]
    rate = 2.0 * FLIP * norm.cdf(noise)
    return flips(rng, np.broadcast_to(rate[:, None], (n_frames - 1, n_atoms)))


def smoothed_noise(seed: int, window: int = 9, n_frames: int = 200, n_atoms: int = 100) -> Labels:
    """The sign of white noise after a running mean: see `smoothed_flip`."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(n_frames + window, n_atoms)).cumsum(axis=0)
    return (noise[window:] > noise[:-window]).astype(np.int32)


def smoothed_flip(window: int = 9) -> float:
    """True probability that the sign of `smoothed_noise` changes.

    Two means of `window` numbers that share all but one of them correlate by 1 - 1 / window; two
    Gaussian numbers differ in sign with probability arccos(correlation) / π (Sheppard, 1899).
    """
    return float(np.arccos(1.0 - 1.0 / window) / np.pi)


def drawn_anew(seed: int, shares: Float, n_atoms: int) -> Labels:
    """Two environments: per frame a twentieth of the atoms draw theirs anew.

    ``shares`` (n_frames,) are the probabilities to draw the second one.
    """
    rng = np.random.default_rng(seed)
    labels = np.empty((len(shares), n_atoms), dtype=np.int32)
    labels[0] = rng.random(n_atoms) < shares[0]
    for k in range(1, len(shares)):
        drawn = rng.random(n_atoms) < shares[k]
        labels[k] = np.where(rng.random(n_atoms) < 0.05, drawn, labels[k - 1])
    return labels


def relaxing(
    seed: int, first: float = 0.19, last: float = 0.78, n_frames: int = 200, n_atoms: int = 300
) -> Labels:
    """Two environments: the share of the second one grows along a straight line."""
    shares = np.linspace(first, last, n_frames)
    # what is drawn is ahead by 20 frames, so that the share itself keeps to the line
    ahead = shares + 20.0 * (last - first) / (n_frames - 1)
    ahead[0] = first
    return drawn_anew(seed, ahead, n_atoms)


def doubling(seed: int, share: float = 0.01, n_frames: int = 500, n_atoms: int = 900) -> Labels:
    """Two environments: the share of the second one doubles in the middle of the run."""
    shares = np.where(np.arange(n_frames) < n_frames // 2, share, 2.0 * share)
    return drawn_anew(seed, shares, n_atoms)


def recrossing(seed: int, stay: float = 20_000, n_frames: int = 500, n_atoms: int = 400) -> Labels:
    """Two environments; a tenth of the atoms is near the boundary.

    There, the label of a frame is wrong with probability 0.01. Each wrong label is two moves, so
    the mean stay by all moves is 1 / (2 · 0.001 + 1 / stay) frames: 488.
    """
    rng = np.random.default_rng(seed)
    rates = np.full((n_frames - 1, n_atoms), 1.0 / stay)
    wrong = rng.random((n_frames, n_atoms)) < 0.01
    wrong[:, n_atoms // 10 :] = False
    return flips(rng, rates) ^ wrong


def vibration(seed: int, n_frames: int = 300, n_atoms: int = 100) -> Float:
    """δ that is white noise."""
    return np.random.default_rng(seed).gamma(4.0, 0.02, (n_frames, n_atoms)).clip(0.0, 1.0)


def two_levels(seed: int, stay: float = 60, n_frames: int = 300, n_atoms: int = 100) -> Float:
    """δ of atoms that are slow or fast, and stay so for `stay` frames on average."""
    rng = np.random.default_rng(seed)
    fast = flips(rng, np.full((n_frames - 1, n_atoms), 1.0 / stay))
    return (vibration(seed, n_frames, n_atoms) + 0.3 * fast).clip(0.0, 1.0)


def alike(
    seed: int, stay: float, n_frames: int = 60, n_atoms: int = 300
) -> tuple[Labels, Float, Float]:
    """Fast atoms that look like slow ones: states, scores of SOAP, and δ.

    Atoms of state 2 are fast (δ 0.4 ± 0.1 instead of 0.06 ± 0.02). They have the structure of state
    1 (a fifth of the atoms), come from there, and stay fast with probability `stay` per frame. They
    are about a hundredth of the observations.
    """
    rng = np.random.default_rng(seed)
    enter = 0.05 * (1.0 - stay)
    ends = np.cumsum([[0.97, 0.03], [0.12, 0.88 - enter], [0.0, 1.0 - stay]], axis=1)
    states = np.empty((n_frames, n_atoms), dtype=np.int32)
    atom = np.arange(n_atoms)
    states[0] = np.where(atom % 50 == 0, 2, atom % 5 == 0)
    for k in range(1, n_frames):
        states[k] = (rng.random(n_atoms)[:, None] > ends[states[k - 1]]).sum(axis=1)
    centers = np.array([[0.0, 0.0], [0.3, 0.1], [0.3, 0.1]])
    scores = centers[states] + rng.normal(0.0, 0.02, (*states.shape, 2))
    slow = rng.gamma(6.0, 0.01, states.shape)
    delta = np.where(states == 2, rng.normal(0.4, 0.1, states.shape), slow).clip(0.0, 1.0)
    return states, scores, delta
