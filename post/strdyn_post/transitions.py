"""Transitions between environments: the public name of `strdyn_post.kinetics.transitions`."""

from .kinetics.transitions import count_transitions, fluxes, transition_matrix

__all__ = ["count_transitions", "fluxes", "transition_matrix"]
