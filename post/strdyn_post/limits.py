"""All thresholds that decide about findings."""

from __future__ import annotations

FEW_FRAMES = 50
"""Fewer analysed frames than this give a warning."""

LARGE_RESIDUAL = 0.5
"""Stored spectra are too rough if they may be off by more than this part of the spread of the
smallest component that is kept."""

DIP = 0.8
"""Two levels of LENS are apart if δ between them is rarer than this part of the smaller peak."""

VIBRATION = 0.5
"""LENS shows mostly vibration if this share of the changes of neighbors is vibration."""

EVENT_SHARE = 0.1
"""A lasting change of more than this share of its neighbors is an event of an atom. On copper at
900 to 1000 K the mean share is 0.002 to 0.007; one neighbor of 40 that hops away makes 0.0125."""

LONGEST_LASTING = 8
"""A change lasts if the neighbor keeps still for at most this number of frames before and after."""

LEVELLED = 0.05
"""The number of frames is enough if one more takes away less than this share of all changes."""

LONGEST_COMMITTED = 32
"""An atom is committed to an environment after at most this number of frames."""

STILL_UNDONE = 0.1
"""The number of frames is enough if at most this share of the moves is undone soon after it,"""

MAYBE_UNDONE = 0.2
"""and a stay is known only if not more than this share may still be undone."""

RECROSSED = 1.25
"""Recrossings hardly matter if the committed stay is at most so many times the one by all moves."""

BEYOND_NULL = 1.25
"""A stay counts if it is more than so many times the one with δ shuffled in time."""

MUCH_NOISE = 0.2
"""From this share of noise on, the noise needs attention."""

MOST_NOISE = 0.5
"""Above this share of noise the clusters hold less than half of the data."""

AGREEMENT = 0.9
"""Labels depend on chance if their agreement (adjusted Rand index) is smaller."""

FEW_EVENTS = 10
"""A probability from fewer independent events than this is rough."""

CLEAR = 3.0
"""A difference counts if it is more standard errors than this."""

CHANGE = 0.1
"""A share drifts if it also changes by more than this part of itself."""

SEEN_CHANGE = 0.5
"""A check of drift must be able to see a share that changes by this part of itself,"""

SEEN_EXCESS = 0.5
"""a check of balance an excess of this part of the moves of a pair (three there for one back),"""

SEEN_MEMORY = 0.2
"""and a check of memory such a difference of two probabilities. Else it cannot tell."""

MEMORY = 0.1
"""Moves have memory if probabilities differ from the prediction by more than this and chance."""

SUPPORT = 0.8
"""A merge is firm if at least this share of the resampled counts gives the same merge."""

FAR_SHARE = 0.05
"""A frame is far from a fit if more than this share of its atoms is far."""

FAR_QUANTILE = 0.999
"""An atom is far from a fit if its distance is above this quantile of the fitted ones."""

SAME = 0.5
"""Two environments correspond if their overlap 2|A ∩ B| / (|A| + |B|) is at least this."""

GOES = 0.05
"""Of an environment that has no counterpart, parts below this share are not named."""

COMPARABLE = 0.5
"""A fast environment is one of chance, too, if chance makes this part of its observations fast."""

NEARLY_ALL = 0.75
"""A level of LENS has the colour of an environment if their overlap is at least this."""

MOSTLY = 0.5
"""An environment is a part of another one if more than this share of it lies there."""

CONFIDENCE = 0.95
"""Coverage of all intervals."""

SURFACE_NEIGHBORS = 0.9
"""Outermost atoms are a surface if they have fewer neighbors than this part of the median."""

OUTERMOST = 0.02
"""The outermost atoms are this share of all atoms, at either end."""

FAST_QUARTILE = 0.25
"""An environment is fast if this quantile of its δ is above `FAST_OTHERS`."""

FAST_OTHERS = 0.95
"""Quantile of the δ of all other atoms, for `FAST_QUARTILE`."""

ENRICHED = 2.0
"""A fast environment counts if one of SOAP holds so many times as much of it as by chance."""

BY_CHANCE = 1e-3
"""The probability that chance puts it there must also be smaller than this."""

FEW_VALUES = 20
"""A cluster with fewer values of δ (1 / Σ p², with their shares p) is a piece of equal δ."""

IN_PIECES = 0.3
"""HDBSCAN* breaks the data into such pieces if they hold this share of the observations."""

MORE_CLUSTERS = 1.5
"""SOAP & LENS must then also have more clusters than this for each cluster of SOAP."""

BESIDE = 0.1
"""An environment is a place in space if the share of its neighbors that were in it before is so
far on the way from the share that structure explains to 1. Ice/water interfaces have 0.2 to 0.3,
the mobile surface of a gold particle 0.2 to 0.3; a homogeneous liquid and crystals below 0.01."""

LIKE_AN_INTERFACE = 0.3
"""It is none only if the interval of this share does not reach as far."""
