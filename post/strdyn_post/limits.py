"""Every threshold that turns a number into a judgement."""

from __future__ import annotations

FEW_FRAMES = 50
"""Fewer analysed frames than this are few."""

FLICKER = 0.5
"""From this share of undone changes of neighbors on, LENS shows mostly thermal flicker."""

EVENT_SHARE = 0.1
"""A lasting change of more than this share of its neighbors is an event of an atom. On copper at
900 to 1000 K the mean share is 0.002 to 0.007; one neighbor of 40 that hops away makes 0.0125."""

LONGEST_LASTING = 8
"""A change lasts if the neighbor keeps still for at most this number of frames before and after."""

LEVELLED = 0.05
"""The number of frames is enough if one more takes away less than this share of all changes."""

MUCH_NOISE = 0.2
"""From this share of noise on, much of the data lies outside of the clusters of HDBSCAN*."""

MOST_NOISE = 0.5
"""Above this share of noise the clusters rest on the smaller part of the data."""

AGREEMENT = 0.9
"""Labels depend on chance if their agreement (adjusted Rand index) is smaller."""

FEW_EVENTS = 10
"""A probability from fewer events than this is an order of magnitude at best."""

CLEAR = 3.0
"""A difference of more standard errors than this is called one."""

CHANGE = 0.1
"""A share drifts if it also changes by more than this part of itself."""

MEMORY = 0.1
"""Moves have a memory if probabilities differ by more than this, and beyond chance."""

SUPPORT = 0.8
"""A merge is firm if this share of the resampled counts makes it."""

FAR_SHARE = 0.05
"""A frame is far from a model if more of its atoms than this are."""

FAR_QUANTILE = 0.999
"""An atom is far from a model if it is further away than this share of the fitted ones."""

SAME = 0.5
"""Two environments correspond if their overlap 2|A ∩ B| / (|A| + |B|) is at least this."""

NEARLY_ALL = 0.75
"""A level of LENS has the colour of an environment if their overlap is at least this."""

MOSTLY = 0.5
"""An environment is a part of another one if more of it than this lies there."""

CONFIDENCE = 0.95
"""Coverage of all intervals."""

SURFACE_NEIGHBORS = 0.9
"""The outermost atoms are a surface if they have fewer neighbors than this part of the median,"""

OUTERMOST = 0.02
"""the outermost atoms being this share of all, at either end."""

FAST_QUARTILE = 0.25
"""An environment is fast if this quantile of its δ"""

FAST_OTHERS = 0.95
"""is above this quantile of the δ of all other atoms."""

ENRICHED = 2.0
"""A fast environment counts if it sits so many times as often as by chance in one of SOAP,"""

BY_CHANCE = 1e-3
"""and if chance would put it there with a smaller probability than this."""

FEW_VALUES = 20
"""A cluster with fewer values of δ (counted as 1 / Σ p², p their shares) is a piece of equal δ."""

IN_PIECES = 0.3
"""HDBSCAN* breaks the data into such pieces if they hold this share of the observations,"""

MORE_CLUSTERS = 1.5
"""and SOAP & LENS has more clusters than this for each of SOAP."""
