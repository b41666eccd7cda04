"""A recipe run whole through the command line: what it leaves, and what a second start does."""

from __future__ import annotations

import json
import re
import tomllib
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from tiny_run import Main, TinyRun, donna, trained

from donna_hw.graph.torch_module import to_torch
from donna_hw.pipeline.recipe import Recipe
from donna_hw.predictors.factory import fit_predictor
from donna_hw.predictors.multi_metric import JointPredictor
from donna_hw.predictors.serialization import load_predictor
from donna_hw.spaces import load_space
from donna_hw.tables.latency_table import LatencyTable
from donna_hw.training.block_metrics import JOINT_METRICS, gather_qualities
from donna_hw.training.checkpoints import load_weights, read_weights
from donna_hw.training.data import load_dataset
from donna_hw.training.libraries import ArchitectureLibrary, BlockLibrary
from donna_hw.training.loop import evaluate_top1

SPACE = load_space("small_8px")


def csv(path: Path) -> pd.DataFrame:
    return pd.read_csv(StringIO(path.read_text()))


def test_a_run_leaves_every_file_and_each_reads_back(tiny_run: TinyRun) -> None:
    folder = tiny_run.folder
    assert Recipe.read(folder / "recipe.toml") == Recipe.read(tiny_run.recipe)
    assert load_predictor(folder / "predictor.toml").kind == "joint"
    for device in ("onnxruntime_cpu", "macs", "params"):
        (path,) = (
            p for p in (folder / "latency_tables" / device / "small_8px").glob("*.csv") if p.name.count(".") == 1
        )
        assert len(LatencyTable.read(path).costs(SPACE).blocks) == 3
    assert (folder / "report.png").read_bytes().startswith(b"\x89PNG")
    ElementTree.fromstring((folder / "report.svg").read_text())  # noqa: S314  our own drawing
    assert len(csv(folder / "latency_test.csv")) == 3
    assert (folder / "summary.md").read_text() == (folder.parent / "result.md").read_text()
    assert str(folder / "report.html") in tiny_run.printed


def test_the_references_accuracy_is_that_of_its_weights_on_the_test_images(tiny_run: TinyRun) -> None:
    folder, network = tiny_run.folder / "reference", to_torch(SPACE.network_graph(SPACE.reference))
    load_weights(network, folder / "weights.safetensors")
    facts = tomllib.loads((folder / "reference.toml").read_text())
    images = load_dataset("digits", 850).test
    # Another number of threads may round a tie between two classes differently: one image is allowed for.
    assert facts["top1_percent"] == pytest.approx(evaluate_top1(network, images), abs=101 / len(images))
    assert facts["test_images"] == len(images) == 797


def test_every_block_has_a_quality_and_weights_that_fit(tiny_run: TinyRun) -> None:
    library = BlockLibrary(tiny_run.folder / "block_library", SPACE)
    assert [values.size for values in library.qualities()] == list(SPACE.stage_sizes)
    assert all(np.isfinite(values).all() for values in library.qualities())
    for stage in SPACE.stages:
        assert all(read_weights(library.weights_path(stage, m)) for m in range(stage.size))


def test_the_library_holds_the_corners_and_as_many_networks_as_asked(tiny_run: TinyRun) -> None:
    library = ArchitectureLibrary(tiny_run.folder / "architecture_library", SPACE)
    networks = [network.architecture for network in library.networks("library")]
    assert len(set(networks)) == 5
    assert SPACE.reference in networks
    assert SPACE.architecture([0, 0, 0]) in networks
    assert all(library.weights_path(network.architecture, network.seed).exists() for network in library.networks())


def test_verified_networks_are_those_of_the_front_and_as_many_random_ones(tiny_run: TinyRun) -> None:
    verified, front = csv(tiny_run.folder / "verified.csv"), csv(tiny_run.folder / "front.csv")
    assert verified["role"].tolist() == ["front"] * min(2, len(front)) + ["random"]
    names = set(front[["stage1", "stage2", "stage3"]].agg("/".join, axis=1))
    assert set(verified.loc[verified["role"] == "front", "network"]) <= names
    assert verified["top1_percent"].between(0, 100).all()
    assert (verified[["predicted_s", "measured_s", "predicted_std_s"]] > 0).all(axis=None)
    pair = verified[verified["level"] == 0].set_index("role")["predicted_s"]
    assert abs(pair["random"] / pair["front"] - 1) <= 0.02


def test_predictions_of_the_library_are_left_out_ones(tiny_run: TinyRun) -> None:
    found = csv(tiny_run.folder / "predictor_test.csv")
    predictor = load_predictor(tiny_run.folder / "predictor.toml")
    errors = found["predicted_percent"] - found["top1_percent"]
    assert np.sqrt((errors**2).mean()) == pytest.approx(predictor.noise, rel=1e-9)


class Addresses(HTMLParser):
    """Collects everything in a page that a browser would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            fetched = name in ("src", "srcset", "data", "poster", "background") or (
                name in ("href", "xlink:href") and tag != "a"
            )
            if fetched and not (value or "").startswith("#"):
                self.found.append(f"{tag} {name}={value}")


def test_the_report_is_one_page_that_fetches_nothing(tiny_run: TinyRun) -> None:
    from plotly.offline import get_plotlyjs

    page = (tiny_run.folder / "report.html").read_text()
    own = page.replace(get_plotlyjs(), "")  # what it fetches a browser tells: tests/report
    assert len(own) < len(page) / 10
    addresses = Addresses()
    addresses.feed(own)
    assert addresses.found == ["link href=data:,"]  # an icon without a file: browsers ask for one otherwise
    assert not re.findall(r"@import|url\((?!#)[^)]*\)", own)


def test_the_report_holds_the_front_to_draw_and_what_an_hour_would_gain(tiny_run: TinyRun) -> None:
    page, front = (tiny_run.folder / "report.html").read_text(), csv(tiny_run.folder / "front.csv")
    data = json.loads(page.partition('id="data">')[2].partition("</script>")[0])
    shown = [network for network in data["networks"] if "front" in network["roles"]]
    assert sorted(one["labels"] for one in shown) == sorted(front[["stage1", "stage2", "stage3"]].to_numpy().tolist())
    assert sorted(one["predicted"] for one in shown) == pytest.approx(sorted(front["predicted_top1_percent"]))
    assert sorted(one["costs"]["onnxruntime_cpu"][0] for one in shown) == pytest.approx(
        sorted(front["onnxruntime_cpu_s"]), rel=1e-5
    )
    depths = {label: int(label.split("-")[2][1:]) for network in shown for label in network["labels"]}
    assert all(len(boxes) == depths.get(key.split()[1], len(boxes)) for key, boxes in data["blocks"].items())
    assert "Measurement budget: one more hour" in page
    assert "donna-hw run" in page.partition('<pre id="command">')[2].partition("</pre>")[0]


def test_the_report_and_the_summary_show_every_verified_network(tiny_run: TinyRun) -> None:
    page, summary = ((tiny_run.folder / name).read_text() for name in ("report.html", "summary.md"))
    for row in csv(tiny_run.folder / "verified.csv").to_dict("records"):
        for text in (page, summary):
            assert row["network"] in text
            assert f"{row['top1_percent']:.2f}" in text
    assert "<h1>Tiny &amp; small</h1>" in page
    assert summary.startswith("# Tiny & small\n")
    for key in ("held_out = 850", "population = 20"):
        assert key in page


def test_a_second_start_changes_nothing_that_was_trained_or_measured(broken: TinyRun) -> None:
    before = trained(broken.folder)
    front, verified = (broken.folder / "front.csv").read_bytes(), csv(broken.folder / "verified.csv")
    done = donna("run", broken.recipe, "--out", broken.folder, cwd=broken.folder)
    assert done.returncode == 0, done.stderr
    assert trained(broken.folder) == before
    assert (broken.folder / "front.csv").read_bytes() == front
    pd.testing.assert_frame_equal(csv(broken.folder / "verified.csv"), verified, rtol=1e-12)  # ns read back as seconds
    assert len(before) > 72 + 5


def test_the_report_is_written_again_from_the_files(broken: TinyRun, main: Main) -> None:
    before = trained(broken.folder)
    names = ("report.html", "report.svg", "report.png")
    for name in names:
        (broken.folder / name).unlink()
    code, out, _ = main("report", broken.recipe, "--out", broken.folder)
    assert (code, out) == (0, f"report: {broken.folder / 'report.html'}\n")
    assert all((broken.folder / name).stat().st_size > 1000 for name in names)
    assert trained(broken.folder) == before


@pytest.mark.parametrize("name", ["front.csv", "verified.csv", "latency_test.csv"])
@pytest.mark.parametrize(("text", "says"), [('role,"', "not a valid CSV file"), ("role,color\n", "no column")])
def test_a_spoiled_file_is_one_line_in_the_report(broken: TinyRun, main: Main, name: str, text: str, says: str) -> None:
    (broken.folder / name).write_text(text)
    code, _, error = main("report", broken.recipe, "--out", broken.folder)
    assert (code, len(error.splitlines())) == (2, 1), error
    assert name in error
    assert says in error


def test_fit_says_how_well_the_predictor_and_its_rivals_order(broken: TinyRun, main: Main) -> None:
    kept = (broken.folder / "predictor.toml").read_bytes()
    code, out, _ = main("fit", broken.recipe, "--out", broken.folder)
    assert code == 0
    assert (broken.folder / "predictor.toml").read_bytes() == kept
    for name in ("predictor (joint)", "baseline: log macs", "baseline: log params"):
        assert name in out


def test_the_teachers_accuracy_is_the_ceiling_that_is_asked_for(tiny_run: TinyRun) -> None:
    predictor = load_predictor(tiny_run.folder / "predictor.toml")
    assert isinstance(predictor, JointPredictor)
    reference = tomllib.loads((tiny_run.folder / "reference" / "reference.toml").read_text())
    assert predictor.requested_ceiling_percent == reference["top1_percent"]


def test_fit_with_front_fits_to_verified_networks_too_and_never_to_test_ones(broken: TinyRun, main: Main) -> None:
    path = broken.folder / "predictor.toml"
    before = tomllib.loads(path.read_text())["fitted_to"]
    assert before == {"networks": 5, "quality": JOINT_METRICS, "roles": {"library": 5}}
    library = ArchitectureLibrary(broken.folder / "architecture_library", SPACE)
    finetuned = {role: len(library.mean_top1(role)) for role in ("library", "front", "random")}
    judge = library.journal.records()[0] | {"role": "test", "network": library.name(SPACE.architecture([1, 2, 3]))}
    library.journal.append_all([judge, judge | {"role": "front", "seed": "9"}])
    code, out, _ = main("fit", broken.recipe, "--out", broken.folder, "--with-front")
    assert code == 0
    assert "Fitted to " in out
    fitted = tomllib.loads(path.read_text())["fitted_to"]
    assert fitted["roles"] == {role: count for role, count in finetuned.items() if count}
    assert fitted["networks"] == sum(fitted["roles"].values()) > 5
    found = csv(broken.folder / "predictor_test.csv")
    assert found["role"].value_counts().to_dict() == fitted["roles"]
    errors = found["predicted_percent"] - found["top1_percent"]
    assert np.sqrt((errors**2).mean()) == pytest.approx(load_predictor(path).noise, rel=1e-9)


@pytest.mark.parametrize("kind", ["monotone", "bayesian_ridge"])
def test_another_kind_is_fitted_kept_and_searched(broken: TinyRun, main: Main, kind: str, tmp_path: Path) -> None:
    text = broken.recipe.read_text()
    broken.recipe.write_text(text.replace("[library]\n", f'[library]\npredictor = "{kind}"\n'))
    assert main("fit", broken.recipe, "--out", broken.folder)[0] == 0
    assert load_predictor(broken.folder / "predictor.toml").kind == kind
    words = ("search", "small_8px", "--accuracy-from", broken.folder, "--cost", "macs", "--method", "exact")
    code, _, error = main(*words, "--output", tmp_path / "front.csv")
    assert code == 0, error
    assert (csv(tmp_path / "front.csv")["predicted_top1_percent"].diff().dropna() >= 0).all()


def test_a_search_reads_the_metric_that_the_predictor_was_fitted_to(
    broken: TinyRun, main: Main, tmp_path: Path
) -> None:
    library = BlockLibrary(broken.folder / "block_library", SPACE)
    by_l1 = library.qualities("l1")
    seen = gather_qualities(by_l1, np.array(list(np.ndindex(*SPACE.stage_sizes)))[::97])
    predictor = fit_predictor(seen, 90 - np.log(seen).sum(axis=1))
    predictor.save(broken.folder / "predictor.toml", {"fitted_to": {"quality": "l1"}})
    words = ("search", "small_8px", "--accuracy-from", broken.folder, "--cost", "macs", "--method", "exact")
    code, _, error = main(*words, "--output", tmp_path / "front.csv")
    assert code == 0, error
    front = csv(tmp_path / "front.csv")
    first = SPACE.architecture_from_labels({name: front[name][0] for name in SPACE.columns})
    row = np.array([SPACE.row(first)])
    by_nsr, said = (predictor(gather_qualities(each, row))[0][0] for each in (library.qualities(), by_l1))
    assert front["predicted_top1_percent"][0] == pytest.approx(said, abs=1e-4)
    assert abs(by_nsr - said) > 0.01
