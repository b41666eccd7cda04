"""Recipes: the shipped ones are valid, and every broken rule names its key."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from donna_hw._core.resources import resource_names
from donna_hw.devices.device import list_devices
from donna_hw.errors import ConfigError, DonnaError, FileFormatError, UnknownNameError
from donna_hw.experiments.detection.recipe import is_detection
from donna_hw.pipeline.recipe import Recipe, find_recipe, first_difference, save_recipe
from donna_hw.spaces import list_spaces, load_space
from donna_hw.training.data import DATASETS
from donna_hw.training.loop import OptimConfig

LEAST = """title = "T"
space = "small_8px"
data = { name = "digits", held_out = 10 }
reference = { epochs = 1 }
finetune = { epochs = 1 }
library = { networks = 5 }
"""


def read(folder: Path, text: str) -> Recipe:
    path = folder / "r.toml"
    path.write_text(text)
    return Recipe.read(path)


def test_the_checkout_ships_recipes() -> None:
    assert {"digits", "fashion_mnist"} <= set(resource_names("recipes"))


@pytest.mark.parametrize("name", [name for name in resource_names("recipes") if not is_detection(name)])
def test_every_shipped_recipe_is_valid_and_names_what_there_is(name: str) -> None:
    recipe = Recipe.read(find_recipe(name))
    assert load_space(recipe.space).name.split("@")[0] in list_spaces()
    assert recipe.data.name in DATASETS
    assert {*recipe.cost_devices, recipe.latency.device, *recipe.counters} <= set(list_devices())
    assert recipe.search.samples >= recipe.search.population


def test_the_least_recipe_has_the_defaults_of_the_docs(tmp_path: Path) -> None:
    recipe = read(tmp_path, LEAST)
    assert recipe.search.samples == 2500
    assert recipe.cost_devices == ["onnxruntime_cpu"]
    assert recipe.processes == len(os.sched_getaffinity(0))
    assert (recipe.library.predictor, recipe.library.quality) == ("joint", "kl+nsr+loss+macs")
    other = read(tmp_path, LEAST.replace("networks = 5", "networks = 5, predictor = 'ridge2'"))
    assert other.library.quality == "kl"


def test_settings_reach_their_trainings(tmp_path: Path) -> None:
    text = LEAST.replace(
        "finetune = { epochs = 1 }", "finetune = { epochs = 3, batch = 8, hard_label_weight = 0.2, temperature = 4.0 }"
    )
    recipe = read(tmp_path, text + "[distill]\nimages = 7\nbatch = 4\ncosine_steps = 5\n")
    assert recipe.distill.block_distill_config().optim == OptimConfig(1, 4, 0.01, 5)
    assert recipe.distill.block_distill_config().images == 7
    ekd = recipe.finetune.finetune_config()
    assert (ekd.optim, ekd.hard_label_weight, ekd.temperature) == (OptimConfig(3, 8, 0.003, 1000), 0.2, 4.0)


def test_a_run_begun_before_a_key_was_known_goes_on_with_its_default(tmp_path: Path) -> None:
    recipe, run = read(tmp_path, LEAST), tmp_path / "run"
    run.mkdir()
    (run / "recipe.toml").write_text(LEAST)
    save_recipe(recipe, run)
    with pytest.raises(ConfigError, match=r"holds a run with finetune\.repeats = 1; got 2"):
        save_recipe(read(tmp_path, LEAST.replace("finetune = {", "finetune = { repeats = 2,")), run)


def test_settings_that_train_nothing_may_change_in_a_folder(tmp_path: Path) -> None:
    recipe, run = read(tmp_path, LEAST), tmp_path / "run"
    run.mkdir()
    save_recipe(recipe, run)
    part = recipe.library.model_copy(update={"predictor": "ridge2", "quality": "nsr", "extra_networks": 5})
    finetune = recipe.finetune.model_copy(update={"scratch_networks": 2})
    changed = recipe.model_copy(update={"library": part, "title": "another", "workers": 1, "finetune": finetune})
    save_recipe(changed, run)
    assert Recipe.read(run / "recipe.toml") == changed


@pytest.mark.parametrize("predictor", ["saturating", "ridge2"])
def test_several_metrics_need_the_kind_that_reads_them(tmp_path: Path, predictor: str) -> None:
    part = 'library = { networks = 5, quality = "kl+macs", predictor = "joint" }'
    text = re.sub(r"library = \{.*\}", part, LEAST)
    assert read(tmp_path, text).library.quality == "kl+macs"
    with pytest.raises(ConfigError, match=r"need library\.predictor = 'joint'; got 'kl\+macs for"):
        read(tmp_path, text.replace("joint", predictor))
    with pytest.raises(UnknownNameError, match="speed"):
        read(tmp_path, text.replace("kl+macs", "speed"))


def test_a_metric_that_chose_the_networks_may_not_change(tmp_path: Path) -> None:
    recipe, run = read(tmp_path, LEAST), tmp_path / "run"
    run.mkdir()
    chosen = recipe.library.model_copy(update={"choice": "d_optimal"})
    save_recipe(recipe.model_copy(update={"library": chosen}), run)
    other = chosen.model_copy(update={"quality": "nsr+kl"})
    with pytest.raises(ConfigError, match=r"library\.quality = 'kl\+nsr"):
        save_recipe(recipe.model_copy(update={"library": other}), run)


def test_how_long_networks_are_trained_from_scratch(tmp_path: Path) -> None:
    """By default as long as the reference, and finetuned as long beside it."""
    for keys, scratch, long in (
        ("", 1, 1),
        (", scratch_epochs = 7", 7, 7),
        (", scratch_epochs = 7, long_epochs = 3", 7, 3),
        (", long_epochs = 0", 1, 0),
    ):
        recipe = read(tmp_path, LEAST.replace("finetune = { epochs = 1 ", f"finetune = {{ epochs = 2{keys} "))
        assert (recipe.scratch_epochs, recipe.long_epochs) == (scratch, long)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("sede = 1", ("unknown key 'sede'", "expected counters, ", "did you mean 'seed'")),
        ("[distill]\nepoch = 1", ("[distill]: unknown key 'epoch'", "did you mean 'epochs'", "cosine_steps")),
        ("[search]\nsample = 9", ("[search]: unknown key 'sample'", "did you mean 'samples'")),
        ("[verfy]\nfront = 1", ("unknown key 'verfy'", "did you mean 'verify'")),
    ],
)
def test_an_unknown_key_is_named_with_the_known_ones(tmp_path: Path, change: str, says: tuple[str, ...]) -> None:
    with pytest.raises(UnknownNameError) as caught:
        read(tmp_path, LEAST + change + "\n")
    for part in (*says, "r.toml"):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("change", "key", "found"),
    [
        ("seed = -1", "seed", "-1"),
        ("seed = '0'", "seed", "'0'"),
        ("seed = 1.5", "seed", "1.5"),
        ("workers = true", "workers", "True"),
        ("counters = 'macs'", "counters", "'macs'"),
        ("[distill]\nbatch = 1", "distill.batch", "1"),
        ("[distill]\nlearning_rate = 0", "distill.learning_rate", "0"),
        ("[distill]\nlearning_rate = 'fast'", "distill.learning_rate", "'fast'"),
        ("[latency]\nrounds = 0", "latency.rounds", "0"),
        ("[latency]\ncalibration_networks = 3", "latency.calibration_networks", "3"),
        ("[search]\npopulation = 3", "search.population", "3"),
        ("[search.constraints]\nonnxruntime_cpu = 5", "search.constraints.onnxruntime_cpu", "5"),
        ("[verify]\nfront = 0", "verify.front", "0"),
        ("verify = 3", "verify", "3"),
    ],
)
def test_a_value_that_breaks_its_rule_is_named(tmp_path: Path, change: str, key: str, found: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, LEAST + change + "\n")
    assert f"{key}: " in str(caught.value)
    assert f"got {found}" in str(caught.value)


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_a_rate_that_is_no_number_is_refused(tmp_path: Path, value: str) -> None:
    with pytest.raises(ConfigError, match=r"distill\.learning_rate: .*finite"):
        read(tmp_path, LEAST + f"[distill]\nlearning_rate = {value}\n")


def test_fewer_samples_than_a_population_are_refused_before_any_training(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="samples must be at least the population"):
        read(tmp_path, LEAST + "[search]\nsamples = 40\n")


def test_an_unknown_predictor_is_refused_before_any_training(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError,
        match=r"library\.predictor: .*'monotone', 'ridge2', 'ridge2_monotone', .*'sum_of_nsr'.*got 'ridge3'",
    ):
        read(tmp_path, LEAST.replace("networks = 5", "networks = 5, predictor = 'ridge3'"))


@pytest.mark.parametrize("key", ["title", "space", "data", "reference", "finetune", "library"])
def test_a_missing_key_is_named(tmp_path: Path, key: str) -> None:
    text = "".join(line for line in LEAST.splitlines(keepends=True) if not line.startswith(f"{key} "))
    with pytest.raises(ConfigError, match=f"missing key '{key}'"):
        read(tmp_path, text)


def test_a_missing_nested_key_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"missing key 'data\.held_out'"):
        read(tmp_path, LEAST.replace(", held_out = 10", ""))


@pytest.mark.parametrize("text", ["title = ", LEAST + "seed = 1\nseed = 2\n", "\x00"])
def test_a_file_that_is_no_toml_is_a_bad_file_that_names_the_place(tmp_path: Path, text: str) -> None:
    with pytest.raises(FileFormatError, match=r"r\.toml: not valid TOML.*(line \d|end of document)"):
        read(tmp_path, text)


def test_an_unknown_recipe_is_named_with_the_shipped_ones() -> None:
    with pytest.raises(UnknownNameError, match=r"'digit'.*did you mean 'digits'"):
        find_recipe("digit")


PLAIN = st.recursive(
    st.integers(0, 2) | st.booleans() | st.sampled_from(["a", "b"]),
    lambda inner: st.dictionaries(st.sampled_from("xyz"), inner, max_size=3),
    max_leaves=6,
)
SETTINGS = st.dictionaries(st.sampled_from("xyz"), PLAIN, max_size=3)


@settings(deadline=None)
@given(SETTINGS, SETTINGS)
def test_recipes_differ_where_they_are_not_equal(a: dict[str, object], b: dict[str, object]) -> None:
    found = first_difference(a, b)
    assert (found is None) == (a == b)
    if found is not None:
        key, left, right = found
        assert (follow(a, key), follow(b, key)) == (left, right)
        assert left != right


def follow(content: object, key: str) -> object:
    for name in key.split("."):
        assert isinstance(content, dict)
        content = content.get(name)
    return content


def test_a_kept_recipe_reads_back_as_itself(tmp_path: Path) -> None:
    from donna_hw._core.toml_files import write_toml

    recipe = Recipe.read(find_recipe("digits"))
    write_toml(tmp_path / "kept.toml", recipe.model_dump(exclude_none=True))
    assert Recipe.read(tmp_path / "kept.toml") == recipe
    assert (
        first_difference(tomllib.loads((tmp_path / "kept.toml").read_text()), recipe.model_dump(exclude_none=True))
        is None
    )


@pytest.mark.parametrize("part", ["space", "data"])
def test_errors_of_recipes_are_one_line(tmp_path: Path, part: str) -> None:
    with pytest.raises(DonnaError) as caught:
        read(tmp_path, LEAST.replace(f"{part} = ", f"{part} = [] #"))
    assert "\n" not in str(caught.value)
