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
        ({"soft": "some"}, "expected noise or all or none"),
        ({"smoothing_window": 2.5}, "whole number"),
        ({"smoothing_window": True}, "finite number"),
        ({"smoothing_window": 2}, "smoothing_order = 2 needs"),
        ({"variance": 1.5}, "at most 1"),
        ({"variance": "high"}, "finite number"),
        ({"lens_weight": -1}, "0 or more"),
        ({"scan_weights": [0.5, -2]}, r"scan_weights = \[0.5, -2.0\]: expected 0 or more for each"),
        ({"scan_weights": [0.5, float("inf")]}, "scan_weights = inf is not a finite number"),
        ({"scan_weights": "0.5, 2"}, "scan_weights = '0.5, 2' is not a finite number"),
        ({"lens_thresholds": [0.3, 0.1]}, "increasing"),
        ({"lens_thresholds": []}, "increasing"),
        ({"lag": 0}, "1 or more"),
        ({"seed": 2**32}, "seed = 4294967296: expected at most"),
        ({"lens_clusters": 5000}, "at most 1000"),
        ({"lag": 2**63}, "lag = 9223372036854775808: expected at most 1000000000"),
        ({"lag": 10**400}, r"lag = 10000.* … 0000.* is not a finite number"),
        ({"lag": 16**5000}, "lag = a int too long to show is not a finite number"),
        ({"smoothing_window": 10**9}, "at most 1000000"),
        ({"lens_weight": 1e308}, r"lens_weight = 1e\+308: expected 0 or more, up to 1e\+06"),
        ({"scan_weights": [1e308]}, r"for each, up to 1e\+06"),
        ({"lens_thresholds": range(5000)}, "holds 5000 values: expected at most 999"),
        ({"method": 16**5000}, "method = a int too long to show: expected hdbscan"),
        ({"n_components": 0}, "1 or more"),
        ({"merge_cut": float("nan")}, "finite"),
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
        (b"lag = \xff", "its byte 6 is no UTF-8"),
        (b"lag = " + b"[" * 5000 + b"]" * 5000, "nested too deeply"),
        (b"lag = " + b"9" * 5000, "is not TOML"),
        (b"lag = 1" + b"0" * 400, "is not a finite number"),
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
