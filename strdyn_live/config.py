"""LiveConfig: every setting of the live half, declared once."""

from __future__ import annotations

import difflib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .definition import L_MAX_RANGE, N_MAX_RANGE
from .elements import ATOMIC_NUMBERS, by_atomic_number
from .events import Densely, Event
from .settings import ConfigError, Settings, declared, documented, setting
from .store import Store

__all__ = ["ConfigError", "LiveConfig"]

_LENGTH = "the length unit of the run (Å in `real` and `metal`)"


@documented
@dataclass(frozen=True)
class LiveConfig(Settings):
    """Settings of a recording; equal settings mean equal numbers in the buffer.

    The same names serve keyword arguments (``Recorder(r_cut=6.0, ...)``), the words of an input
    script (``r_cut 6.0 elements Cu ...``, see `from_words`) and JSON (`as_dict`).

    Raises
    ------
    ConfigError
        For every missing, unknown or impossible value, with what was found and expected.

    Examples
    --------
    >>> config = LiveConfig(r_cut=6.0, elements="O H", file="water.sdl", centers="oxygen")
    >>> config.elements, config.lens_r_cut
    (('O', 'H'), 6.0)
    >>> config == LiveConfig.from_words("r_cut 6 elements O H file water.sdl centers oxygen")
    True
    """

    r_cut: float = setting(
        "SOAP cutoff radius. The radial basis ``gto`` needs more than 1.",
        unit=_LENGTH,
        above=1.0,
        example=6.0,
        use="Choose it for each system: the paper takes 6 Å for copper and water, 4.48 Å for gold.",
    )
    elements: tuple[str, ...] = setting(
        "One name per LAMMPS atom type, as in ``pair_coeff``; a single string is split at blanks.",
        example="O H",
    )
    file: str = setting("The buffer, a folder ``NAME.sdl``.", example="run.sdl")
    centers: str = setting(
        "LAMMPS group of the atoms that are described; of a trajectory (`strdyn collect`) a "
        "selection in the language of MDAnalysis.",
        default="all",
        use="Describe fewer atoms to save time and disk space. The group must keep its members.",
    )
    n_max: int = setting(
        "Number of radial functions.",
        default=8,
        low=N_MAX_RANGE[0],
        high=N_MAX_RANGE[1],
        use="Many functions within a short cutoff cannot be told apart: `n_max` is at most 9 at "
        "r_cut = 2, 11 at 3, 13 at 4.48, 14 at 6, 15 at 10, and 16 from 20 on (see "
        "`strdyn_live.soap.Soap`).",
    )
    l_max: int = setting(
        "Largest degree of the spherical harmonics.",
        default=8,
        low=L_MAX_RANGE[0],
        high=L_MAX_RANGE[1],
        use="Smaller n_max and l_max save time and disk space: a spectrum of one species has "
        "(l_max + 1) n_max (n_max + 1) / 2 components.",
    )
    sigma: float = setting(
        "Width of the Gaussians of the density.",
        default=1.0,
        unit=_LENGTH,
        above=0.0,
        use="A smaller sigma makes spectra more sensitive to vibrations. SOAP sees atoms up to "
        "r_cut + 3.717 sigma.",
    )
    lens_r_cut: float = setting(
        "Cutoff of the neighbor lists of LENS; by default that of SOAP.",
        default="r_cut",
        unit=_LENGTH,
        above=0.0,
        use="Take a larger one if lists are so short that LENS has few different values.",
    )
    lens_environment: str = setting(
        "LAMMPS group, or selection, of the atoms that count as neighbors.",
        default="all",
        use="For molecules, choose one atom of each, such as the oxygen of water.",
    )
    append: bool | str = setting(
        "Go on with an existing buffer, as a restarted run does. If false, an existing buffer is "
        "an error.",
        default=False,
        choices=("force",),
        use="Set it in a restarted job. force also allows a run that supersedes more than the last "
        "job has written, or that does not look like a continuation.",
    )
    on_error: str = setting(
        "End the run at a failed frame, or report the frame and go on.",
        default="stop",
        choices=("stop", "drop"),
        use="Choose drop if the run may not end because of its recording.",
    )
    backend: str = setting(
        "What computes SOAP; both give the same numbers.",
        default="native",
        choices=("native", "dscribe"),
        use="Choose dscribe only to compare: it is slower, and refused where DScribe's error is "
        "above 10⁻⁷ (above 10 functions at 6 Å).",
    )
    writers: int = setting(
        "Number of ranks that write.",
        default=1,
        low=1,
        high=2**31,
        use="Take more if one rank cannot gather and write the rows of a frame in time.",
    )
    threads: int = setting(
        "Threads that describe the atoms of each rank; the numbers do not depend on it.",
        default=1,
        low=1,
        high=1024,
        use="Take more where a rank has several cores, as in runs with OPENMP or GPU. "
        "`strdyn collect` has --threads instead.",
    )
    overlap: bool = setting(
        "Describe a frame on a thread while LAMMPS goes on. The numbers are the same; each frame "
        "is committed one interval later, and so come values, labels and events.",
        default=False,
        use="Set it where a core is free beside each rank and frames follow each other closely "
        "(docs/howto/fix.md). Not with `fix python/invoke`.",
    )
    store: str = setting(
        "What is stored of the spectra: ``full``; ``pca K``, once a basis is found K scores of "
        "each spectrum and the norm of what they leave out; or ``none``, only neighbor lists and "
        "positions.",
        default="full",
        sentence=True,
        use="Take ``pca 32`` for large systems: ten times fewer bytes (docs/howto/large.md). "
        "``none`` computes no spectra, and they cannot be had later.",
    )
    model: str | None = setting(
        "Results of an earlier analysis, as a folder or its `results.h5`: their fit labels every "
        "frame while the run goes on.",
        default=None,
        use="Fit with smoothing_window = 1. The settings of SOAP and LENS must be those of the "
        "fit.",
    )
    lens_threshold: float = setting(
        "Atoms whose LENS δ is above this value are counted as moving.",
        default=0.5,
        low=0.0,
        high=1.0,
        use="Choose it above the δ of atoms that only vibrate.",
    )
    event: tuple[str, ...] = setting(
        "Rules for rare events, each ``NAME when CONDITION do ACTION ...``.",
        default=(),
        sentence=True,
        use="For example ``hop when lens_max > 0.5 do dump``. In an input script repeat the name "
        "of the setting for each rule. Conditions and actions: docs/howto/events.md.",
    )
    event_every: int = setting(
        "Steps between the frames that are kept in memory around an event; 0 keeps those that are "
        "recorded.",
        default=0,
        low=0,
        high=2**31,
        unit="steps",
        use="Set it to see an event at a finer time resolution than that of the recording.",
    )
    event_frames: int = setting(
        "Frames that ``do dump`` writes before an event, and after it.",
        default=20,
        low=0,
        high=100_000,
        unit="frames",
        use="The frames before it are kept in memory: 44 bytes for each atom and frame.",
    )
    event_cooldown: int = setting(
        "An event is not acted on again before it has been away for so many recorded frames.",
        default=100,
        low=0,
        high=2**31,
        unit="recorded frames",
        use="Raise it if one event gives several files; 0 acts on it in every frame.",
    )
    adaptive: str | None = setting(
        "Record densely while a condition holds: ``n while CONDITION``, a frame every n steps.",
        default=None,
        sentence=True,
        use="For example ``100 while lens_max > 0.3``. n divides the steps between regular frames. "
        "The analysis takes the regular frames only.",
    )

    def __post_init__(self) -> None:
        if isinstance(self.elements, str):
            self._set("elements", self.elements.split())
        if self.lens_r_cut is None or str(self.lens_r_cut) == "r_cut":
            self._set("lens_r_cut", self.r_cut)
        self._set("file", os.path.expanduser(str(self.file)))
        if isinstance(self.model, str):
            self._set("model", os.path.expanduser(self.model))
        super().__post_init__()
        if not self.elements:
            raise ConfigError(
                "elements is empty: give one name per LAMMPS atom type, as in pair_coeff "
                "(elements='O H')."
            )
        for name in self.elements:
            if name not in ATOMIC_NUMBERS:
                near = difflib.get_close_matches(name.capitalize(), ATOMIC_NUMBERS, n=1, cutoff=0.5)
                hint = f" Did you mean {near[0]!r}?" if near else ""
                raise ConfigError(
                    f"elements = {' '.join(self.elements)!r}: {name!r} is not the symbol of a "
                    f"chemical element.{hint}"
                )
        for name in ("centers", "lens_environment"):
            group = getattr(self, name)
            if not group.strip():
                raise ConfigError(
                    f"{name} = {group!r}: expected the name of a LAMMPS group, or a selection."
                )
        if self.threads > 1 and self.backend == "dscribe":
            raise ConfigError(
                f"threads = {self.threads} with backend dscribe: DScribe describes the atoms of a "
                "frame one after the other. Use threads = 1, or backend native."
            )
        if "$" in self.file:
            raise ConfigError(
                f"file = {self.file!r}: LAMMPS puts no variables into text in quotes. Hand the "
                "name over with 'python ... input 1 v_NAME format s' (docs/howto/own_lammps.md, "
                "Replicas)."
            )
        if Path(self.file).suffix != ".sdl":
            raise ConfigError(
                f"file = {self.file!r}: the buffer is a folder whose name ends in .sdl "
                f"(file='{Path(self.file).stem or 'run'}.sdl')."
            )
        self._set("store", str(self.stored))
        if self.model is not None and not self.stored.spectra:
            raise ConfigError(
                "store = 'none' computes no spectra, and a model labels atoms by their spectra. "
                "Take the model out, or set store='full' or store='pca 32'."
            )
        self._check_rules()

    def _check_rules(self) -> None:
        """Check the rules on events, and give them their usual form."""
        events, densely = self.events, self.densely
        self._set("event", tuple(map(str, events)))
        self._set("adaptive", None if densely is None else str(densely))
        names = [event.name for event in events]
        for name in names:
            if names.count(name) > 1:
                raise ConfigError(f"two events have the name {name!r}: give each its own.")
        conditions = [event.condition for event in events]
        conditions += [] if densely is None else [densely.condition]
        for condition in conditions:
            if condition.needs_model and self.model is None:
                raise ConfigError(
                    f"the condition {str(condition)!r} needs the environments of a fit, and no "
                    "model is given. Give the folder of an analysis: model=DIR."
                )

    @property
    def species(self) -> tuple[str, ...]:
        """Distinct elements by atomic number: the order of the blocks of the power spectrum."""
        return by_atomic_number(self.elements)

    @property
    def descriptors(self) -> str:
        """In words, what descriptors of two recordings must have in common."""
        return (
            f"SOAP of {' '.join(self.species)} (r_cut {self.r_cut:g}, n_max {self.n_max}, "
            f"l_max {self.l_max}, sigma {self.sigma:g}), LENS within {self.lens_r_cut:g}"
        )

    @property
    def stored(self) -> Store:
        """The meaning of `store`."""
        return Store.parse(self.store)

    @property
    def events(self) -> tuple[Event, ...]:
        """The rules of `event`."""
        return tuple(map(Event.parse, self.event))

    @property
    def densely(self) -> Densely | None:
        """The rule of `adaptive`."""
        return None if self.adaptive is None else Densely.parse(self.adaptive)

    @classmethod
    def from_words(cls, words: list[str] | str) -> LiveConfig:
        """Build from the words of an input script: ``r_cut 6.0 elements O H file run.sdl``.

        A name is followed by its value; a list, or a rule, takes every word up to the next name.
        Each rule of `event` has the name before it.
        """
        words = words.split() if isinstance(words, str) else words
        known = {each.name: each for each in declared(cls)}
        settings: dict[str, Any] = {}
        start = 0
        while start < len(words):
            name, stop = words[start], start + 2
            this = known.get(name)
            several = this is not None and (this.many or this.sentence)
            while several and stop < len(words) and words[stop] not in known:
                stop += 1
            if start + 1 >= len(words):
                raise ConfigError(f"setting {name!r} has no value.")
            value = " ".join(words[start + 1 : stop])
            if this is not None and this.many and this.sentence:
                settings.setdefault(name, []).append(value)
            elif name in settings:
                raise ConfigError(f"setting {name!r} is given twice.")
            else:
                settings[name] = value
            start = stop
        return cls.from_mapping(settings)
