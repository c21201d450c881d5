import json
import pickle

import pytest

from strdyn_post import AnalysisConfig
from strdyn_post.config import ConfigError


def test_toml_reads_back_what_was_written(tmp_path):
    path = tmp_path / "analysis.toml"
    config = AnalysisConfig(
        smoothing_window=20,
        lens_thresholds=[0.1, 0.3],
        scan_weights=[2, 0.5],
        merge_cut=None,
        method="gmm",
        seed=7,
    )
    path.write_text(config.to_toml())
    assert AnalysisConfig.from_toml(path) == config
    assert 'merge_cut = "none"' in config.to_toml()
    assert "scan_weights = [2.0, 0.5]" in config.to_toml()


def test_defaults_are_the_papers_copper_surface():
    config = AnalysisConfig()
    assert (config.smoothing_window, config.smoothing_order) == (21, 2)
    assert (config.variance, config.min_cluster_size, config.merge_cut) == (0.995, 80, 1.0)
    assert (config.soft, config.tree, config.lens_weight, config.lag) == ("noise", "exact", 1.0, 1)
    assert config.scan_weights == ()


def test_unknown_setting_names_the_nearest():
    with pytest.raises(ConfigError, match="Did you mean 'min_cluster_size'"):
        AnalysisConfig.from_mapping({"min_cluster_sise": 80})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "hdbscn"}, "Did you mean 'hdbscan'"),
        ({"soft": "some"}, "expected noise, all or none"),
        ({"smoothing_window": 2.5}, "whole number"),
        ({"smoothing_window": True}, "whole number from 1 to 1000000"),
        ({"smoothing_window": 2}, "smoothing_order = 2 needs"),
        ({"variance": 1.5}, "at most 1"),
        ({"variance": "high"}, "finite number"),
        ({"lens_weight": -1}, "lens_weight = -1: expected a finite number from 0 to 1000000"),
        (
            {"scan_weights": [0.5, -2]},
            r"scan_weights = \[0.5, -2\]: expected finite numbers from 0",
        ),
        ({"scan_weights": [0.5, float("inf")]}, r"scan_weights = \[0.5, inf\]: expected finite"),
        ({"scan_weights": "0.5, 2"}, "scan_weights = '0.5, 2': expected finite numbers"),
        ({"lens_thresholds": [0.3, 0.1]}, "increasing"),
        ({"lens_thresholds": []}, "increasing"),
        ({"lag": 0}, r"lag = 0: expected a whole number from 1 to 1000000000 \[analysed frames\]"),
        ({"seed": 2**32}, "seed = 4294967296: expected a whole number from 0 to 4294967286"),
        ({"lens_clusters": 5000}, "from 1 to 1000"),
        ({"lag": 2**63}, "lag = 9223372036854775808: expected a whole number"),
        ({"lag": 10**400}, r"lag = 10000.* … 0000.*: expected a whole number"),
        ({"lag": 16**5000}, "lag = a int too long to show: expected a whole number"),
        ({"smoothing_window": 10**9}, "from 1 to 1000000"),
        (
            {"lens_weight": 1e308},
            r"lens_weight = 1e\+308: expected a finite number from 0 to 1000000",
        ),
        ({"scan_weights": [1e308]}, r"numbers from 0 to 1000000"),
        (
            {"lens_thresholds": [k / 5000 for k in range(5000)]},
            "holds 5000 values: expected at most 999",
        ),
        ({"method": 16**5000}, "method = a int too long to show: expected hdbscan"),
        ({"n_components": 0}, 'whole number from 1 to 1000000, or "none"'),
        ({"merge_cut": float("nan")}, "merge_cut = nan: expected a finite number from 0 to 2"),
    ],
)
def test_impossible_values_are_named(settings, message):
    with pytest.raises(ConfigError, match=message):
        AnalysisConfig(**settings)


def test_file_errors_name_the_file(tmp_path):
    path = tmp_path / "analysis.toml"
    path.write_text("variance = ")
    with pytest.raises(ConfigError, match=r"analysis\.toml is not TOML"):
        AnalysisConfig.from_toml(path)
    path.write_text("varience = 0.9")
    with pytest.raises(ConfigError, match=r"analysis\.toml: unknown setting 'varience'"):
        AnalysisConfig.from_toml(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"lag = \xff", "its byte 6 is not UTF-8"),
        (b"lag = " + b"[" * 5000 + b"]" * 5000, "nested too deeply"),
        (b"lag = " + b"9" * 5000, "is not TOML"),
        (b"lag = 1" + b"0" * 400, "expected a whole number from 1"),
        (b"#" * 2_000_000, "longer than 1000000 bytes"),
        (b"lag = ", "is not TOML"),
    ],
)
def test_files_that_are_no_settings_are_named(tmp_path, content, message):
    path = tmp_path / "analysis.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=message) as error:
        AnalysisConfig.from_toml(path)
    assert str(path) in str(error.value)
    assert len(str(error.value)) < 400


NAMES = {"soap_lens": {4: "edge", "C": 'the "fast" one'}, "soap": {"A": "ice Ih"}, "lens": {}}


def test_names_of_environments_read_back_from_toml(tmp_path):
    path = tmp_path / "analysis.toml"
    config = AnalysisConfig(lag=3, names=NAMES)
    assert config.names["soap_lens"] == {"4": "edge", "C": 'the "fast" one'}
    path.write_text(config.to_toml())
    assert AnalysisConfig.from_toml(path) == config
    assert AnalysisConfig.from_mapping(json.loads(json.dumps(config.as_dict()))) == config
    assert pickle.loads(pickle.dumps(config)) == config != AnalysisConfig(lag=3)
    assert AnalysisConfig().names == {}
    path.write_text('lag = 2\n[names]\nsoap_lens = {4 = "edge", C = " fast "}\n')
    assert AnalysisConfig.from_toml(path).names == {"soap_lens": {"4": "edge", "C": "fast"}}


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("fast", "names = 'fast': expected a table of routes"),
        ({"chi": {"A": "fast"}}, "found the route 'chi', expected one of soap, soap_lens, lens"),
        ({"soap_lense": {"A": "fast"}}, "Did you mean 'soap_lens'"),
        ({"soap": "fast"}, "names.soap = 'fast': expected a name for each mark"),
        ({"soap": {"A": ""}}, "the name of 'A' = '' cannot be shown"),
        ({"soap": {"A": " \t"}}, "cannot be shown"),
        ({"soap": {"A": "one\ntwo"}}, "without control characters"),
        ({"soap": {"A": 7}}, "the name of 'A' = 7 cannot be shown"),
        ({"soap": {"A": "x" * 61}}, "has 61 characters: expected at most 60"),
        ({"soap": {"": "edge"}}, "the mark of '' = 'edge' cannot be shown"),
        ({"soap": {True: "edge"}}, "the mark of True"),
        ({"soap": {4: "edge", "4": "face"}}, "the mark '4' is given twice"),
        ({"soap": {"A": "edge", "B": "edge "}}, "the marks A and B have the same name 'edge'"),
    ],
)
def test_names_that_are_none_are_refused(names, message):
    with pytest.raises(ConfigError, match=message):
        AnalysisConfig(names=names)


def test_two_routes_may_use_one_name():
    AnalysisConfig(names={"soap": {"A": "edge"}, "lens": {"2": "x" * 60, "3": "edge"}})
