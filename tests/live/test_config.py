"""LiveConfig: one grammar for keywords, input-script words and JSON; every bad value is named."""

import json

import pytest

from strdyn_live.config import ConfigError, LiveConfig

GOOD = {"r_cut": 6.0, "elements": "O H", "file": "run.sdl"}


def test_defaults_are_those_of_the_paper():
    config = LiveConfig(**GOOD)
    assert (config.n_max, config.l_max, config.sigma) == (8, 8, 1.0)
    assert config.lens_r_cut == 6.0
    assert config.elements == ("O", "H")
    assert config.species == ("H", "O")
    assert not config.append


def test_keywords_words_and_json_agree():
    config = LiveConfig(**GOOD, centers="surface", append=True, lens_r_cut=4.5, n_max=6)
    words = "r_cut 6.0 elements O H file run.sdl centers surface append yes lens_r_cut 4.5 n_max 6"
    assert LiveConfig.from_words(words) == config
    assert LiveConfig.from_mapping(json.loads(json.dumps(config.as_dict()))) == config


def test_a_value_may_look_like_a_name():
    assert LiveConfig.from_words("r_cut 6 elements Cu file a.sdl centers file").centers == "file"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"r_cut": None}, "r_cut not given"),
        ({"file": None, "elements": None}, "elements and file not given"),
        ({"rcut": 6.0}, "unknown setting 'rcut'. Did you mean 'r_cut'?"),
        ({"r_cut": "six"}, "r_cut = 'six': expected a finite number above 1"),
        ({"r_cut": float("nan")}, "r_cut = nan"),
        (
            {"r_cut": 0.6},
            "r_cut = 0.6: expected a finite number above 1 [the length unit of the run",
        ),
        ({"sigma": -1.0}, "sigma = -1.0"),
        ({"sigma": float("inf")}, "sigma = inf"),
        ({"lens_r_cut": 0.0}, "lens_r_cut = 0.0"),
        ({"n_max": 17}, "n_max = 17: expected a whole number from 1 to 16"),
        ({"l_max": 2.5}, "l_max = 2.5"),
        ({"l_max": True}, "l_max = True"),
        ({"writers": 0}, "writers = 0"),
        ({"threads": 0}, "threads = 0: expected a whole number from 1 to 1024"),
        ({"threads": 2, "backend": "dscribe"}, "threads = 2 with backend dscribe"),
        ({"append": "perhaps"}, "append = 'perhaps': expected true, false or force"),
        ({"on_error": "stopp"}, "Did you mean 'stop'?"),
        ({"backend": "fast"}, "backend = 'fast': expected native or dscribe"),
        ({"elements": ""}, "elements is empty"),
        ({"elements": [1, 2]}, "elements = [1, 2]: expected texts"),
        ({"backend": None}, "backend = None: expected native or dscribe"),
        ({"elements": "cu"}, "'cu' is not the symbol of a chemical element. Did you mean 'Cu'?"),
        ({"centers": " "}, "centers = ' '"),
        ({"file": "run.h5"}, "ends in .sdl"),
    ],
)
def test_bad_settings_are_named(changes, message):
    with pytest.raises(ConfigError) as caught:
        LiveConfig.from_mapping({**GOOD, **changes})
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("r_cut 6 elements Cu file a.sdl r_cut 5", "setting 'r_cut' is given twice"),
        ("elements Cu file a.sdl r_cut", "setting 'r_cut' has no value"),
        ("r_cut 6 elements Cu file a.sdl centres top", "Did you mean 'centers'?"),
    ],
)
def test_bad_words_are_named(words, message):
    with pytest.raises(ConfigError) as caught:
        LiveConfig.from_words(words)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("given", "meant"), [("yes", True), ("no", False), (True, True), ("Force", "force")]
)
def test_append_knows_three_words(given, meant):
    config = LiveConfig.from_mapping({**GOOD, "append": given})
    assert config.append == meant
    assert LiveConfig.from_mapping(config.as_dict()) == config


def test_the_home_folder_is_meant_by_a_tilde(monkeypatch):
    monkeypatch.setenv("HOME", "/home/someone")
    assert LiveConfig.from_mapping({**GOOD, "file": "~/a.sdl"}).file == "/home/someone/a.sdl"


def test_a_variable_that_lammps_did_not_fill_in_is_refused():
    with pytest.raises(ConfigError, match="puts no variables into text in quotes"):
        LiveConfig.from_mapping({**GOOD, "file": "run_${T}.sdl"})
