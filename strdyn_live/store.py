"""What is stored of the spectra: all of them, scores, or nothing."""

from __future__ import annotations

from dataclasses import dataclass

from .settings import ConfigError, shown

__all__ = ["Store"]


@dataclass(frozen=True)
class Store:
    """The setting `store`.

    Attributes
    ----------
    spectra : bool
        Whether spectra are computed at all.
    n_scores : int or None
        Scores of a spectrum that are stored once their basis is found; None: the spectrum itself.

    Examples
    --------
    >>> Store.parse("pca 32")
    Store(spectra=True, n_scores=32)
    >>> str(Store.parse("full")), str(Store.parse("none")), str(Store.parse("pca 32"))
    ('full', 'none', 'pca 32')
    """

    spectra: bool = True
    n_scores: int | None = None

    @classmethod
    def parse(cls, text: str) -> Store:
        """Read ``full``, ``none`` or ``pca K``; raise ConfigError for anything else."""
        words = text.split()
        if words == ["full"]:
            return cls()
        if words == ["none"]:
            return cls(spectra=False)
        if len(words) == 2 and words[0] == "pca" and words[1].isdecimal() and int(words[1]) > 0:
            return cls(n_scores=int(words[1]))
        raise ConfigError(
            f"store = {shown(text)}: expected full, none, or pca and a number of scores, as in "
            "store='pca 32'."
        )

    def __str__(self) -> str:
        if not self.spectra:
            return "none"
        return "full" if self.n_scores is None else f"pca {self.n_scores}"

    def most_scores(self, n_features: int) -> int:
        """Return how many scores a basis may grow to; more would save less than half.

        Raises
        ------
        ConfigError
            If `n_scores` is more than that.
        """
        most = n_features // 2
        if self.n_scores is not None and self.n_scores > most:
            raise ConfigError(
                f"store = 'pca {self.n_scores}' for spectra of {n_features} components: expected "
                f"at most {most} scores, half of them. Take fewer, or store='full'."
            )
        return most

    def n_columns(self, n_features: int) -> int:
        """Return how many numbers are stored of a spectrum, but for the first frames."""
        if not self.spectra:
            return 0
        return n_features if self.n_scores is None else self.n_scores + 1

    def allows(self, n_columns: int, n_features: int) -> bool:
        """Return whether so many numbers may be stored of a spectrum of `n_features` components."""
        if not self.spectra:
            return n_columns == 0
        reduced = self.n_scores is not None and self.n_scores < n_columns <= n_features // 2 + 1
        return n_columns == n_features or reduced
