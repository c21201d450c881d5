"""Settings are declared once: what is declared is what is checked and what the pages say."""

from dataclasses import dataclass

import pytest

from strdyn_live.config import LiveConfig
from strdyn_live.settings import ConfigError, Settings, declared, documented, setting
from strdyn_post import AnalysisConfig


@documented
@dataclass(frozen=True)
class Oven(Settings):
    """Settings of an oven."""

    heat: float = setting("Set point.", unit="K", above=0.0, high=600.0, example=450.0)
    shelf: int | None = setting("Which shelf.", default=None, low=1, high=4)
    grill: bool = setting("Heat from above.", default=False)
    fan: bool | str = setting("Move the air.", default=True, choices=("slow",))
    pauses: tuple[float, ...] = setting("When to stop.", default=(), low=0.0, high=60.0, unit="min")
    mode: str = setting("What to make.", default="bread", choices=("bread", "cake"), use="Bake.")


def test_values_get_their_kind():
    oven = Oven("450", shelf=2.0, grill="yes", fan="Slow", pauses=[1, "2"])
    assert oven == Oven(450.0, 2, True, "slow", (1.0, 2.0), "bread")
    assert isinstance(oven.heat, float)
    assert isinstance(oven.shelf, int)
    assert Oven(600, shelf="none", pauses=5).pauses == (5.0,)
    assert Oven.from_mapping(oven.as_dict()) == oven


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"heat": 0}, "heat = 0: expected a finite number above 0 and at most 600 [K]."),
        ({"heat": 600.1}, "heat = 600.1: expected a finite number above 0 and at most 600 [K]."),
        ({"heat": None}, "heat = None: expected a finite number"),
        ({"shelf": 5}, 'shelf = 5: expected a whole number from 1 to 4, or "none".'),
        ({"shelf": 1.5}, "shelf = 1.5"),
        ({"shelf": True}, "shelf = True"),
        ({"grill": "perhaps"}, "grill = 'perhaps': expected true or false."),
        ({"grill": 1}, "grill = 1: expected true or false."),
        ({"fan": "fast"}, "fan = 'fast': expected true, false or slow."),
        ({"pauses": [1, 61]}, "pauses = [1, 61]: expected finite numbers from 0 to 60 [min]."),
        ({"pauses": "soon"}, "pauses = 'soon': expected finite numbers from 0 to 60 [min]."),
        ({"mode": "cakes"}, "mode = 'cakes': expected bread or cake. Did you mean 'cake'?"),
    ],
)
def test_what_is_not_declared_is_refused(settings, message):
    with pytest.raises(ConfigError) as caught:
        Oven(**{"heat": 450, **settings})
    assert str(caught.value).startswith(message)


def test_names_are_those_declared():
    with pytest.raises(ConfigError, match=r"heat not given: .* \(for example heat=450.0\)"):
        Oven.from_mapping({"shelf": 1})
    with pytest.raises(ConfigError, match=r"unknown setting 'shelv'. Did you mean 'shelf'\?"):
        Oven.from_mapping({"heat": 450, "shelv": 1})


def test_the_docstring_has_every_declaration():
    assert Oven.__doc__ == (
        "Settings of an oven.\n\nParameters\n----------\n"
        "heat : float\n    Set point. In K, above 0 and at most 600.\n"
        "shelf : int, optional\n    Which shelf. From 1 to 4. Default: None.\n"
        "grill : bool\n    Heat from above. Default: False.\n"
        "fan : bool or {'slow'}\n    Move the air. Default: True.\n"
        "pauses : sequence of float\n    When to stop. In min, from 0 to 60. Default: ().\n"
        "mode : {'bread', 'cake'}\n    What to make. Default: 'bread'. Bake.\n"
    )


@pytest.mark.parametrize("config", [LiveConfig, AnalysisConfig])
def test_every_setting_says_what_it_is_and_when_to_change_it(config):
    for each in declared(config):
        assert each.about.endswith("."), each.name
        assert each.use.endswith(".") or each.needed, each.name
        if each.needed:
            each.check(each.example.split() if each.many else each.example)
        elif each.default != "r_cut":
            assert each.check(each.default) == each.default
        if each.kind in (int, float):  # nothing is open without an end
            assert each.low > float("-inf") or each.above > float("-inf"), each.name
