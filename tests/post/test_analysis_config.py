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
