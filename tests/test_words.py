"""Retired words are gone: in code, help texts, pages, recipes, examples, benchmarks and the names of test files.

A word is matched without regard to case, as a whole word or as a part of a snake_case name. CHANGELOG.md is not read: it lists what was
renamed. A word that must stay has a line in `ALLOWED`, with the reason.
"""

from __future__ import annotations

import io
import re
import subprocess
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import click
import pytest
from paths import ROOT

# (pattern, what to write instead)
WORDS = (
    # Dialect.
    (r"foretell(s|ing)?|foretold", "predict, predicted"),
    (r"mend(s|ed|ing)?", "fix"),
    (r"cures?|cured", "fix, hint"),
    (r"told|untold", "given, shown, reported, logged"),
    (r"tell(s|ing)?|say(s|ing)?|said", "report, show, state, explain, distinguish"),
    (r"judg(e[sd]?|ing)", "evaluate"),
    (r"fronts? (that )?(stands?|stood)|until (it|they|(the|a) front) stands?", "is stable"),
    (r"steadied|steadies|steadying", "drift-corrected"),
    (r"set aside", "discarded"),
    (r"twins?", "counterpart"),
    (r"lessons?", "distill batch"),
    (r"reckon(s|ed|ing)?", "estimate"),
    (r"dear(er|est|ly)?", "expensive"),
    (r"visit(s|ed|ing|or|ors)?", "trial"),
    (r"reviv(e|es|ed|ing)", "restart"),
    (r"goes on where", "resumes where"),
    (r"of one'?s own", "custom, your own"),
    (r"beside", "next to, compared with, alongside"),
    (r"unsaid", "default"),
    (r"brisk", "quick"),
    (r"in_chain", "in_context"),
    (r"further_networks", "extra_networks"),
    (r"correct_with", "calibration_networks"),
    # An hour is a unit of time ("takes an hour", "42 hours"), not a thing with a name.
    (r"(the|another|this|that) hours?|hours?_\w+|\w+_hours?|hour\.\w+", "measurement budget"),
    # British spelling.
    (r"\w*(quantis|normalis|equalis|regularis|standardis|summaris|utilis|minimis|maximis|synchronis)\w*", "-iz-"),
    (r"\w*optimis(e|es|ed|er|ers|ing|ation|ations)", "optimiz-"),
    (r"\w*colour\w*", "color"),
    (r"centre[sd]?", "center"),
    (r"behaviours?", "behavior"),
    (r"licences?", "license"),
    (r"grey", "gray"),
    (r"(un)?labelled", "labeled"),
    (r"\w*favour\w*", "favor"),
    (r"neighbour\w*", "neighbor"),
    # Old functions, wherever they are written.
    (r"stock_blocks", "default_blocks"),
    (r"stages_from", "space_from_model"),
    (r"propose_boundaries", "suggest_boundaries"),
    (r"cost_of|with_cell|never_mended", "load_cost; add_cell; irreducible_std"),
    (r"(text|summary|totals)_of_(baselines|blocks|comparison|completed|coverage|fit|front|networks|phones|reference)", "format_*"),
    (r"(text|summary|totals)_of_(simulation|standing|table|verified)", "format_*"),
    # Old commands and options.
    (r"donna-hw (prove|sustain|quantise|detect|draw|figures|transfer)", "study front; stress; study int8; ...; see --help"),
    (r"donna-hw (phone-clean|build-runner|operators)|phone-clean", "phone clean, phone build-runner, phone operators"),
    (r"table (complete|correct|check)", "table predict, table calibrate, table validate"),
    (r"--(compose|retry|robust|diverse|px|beside|quantity)", "see `donna-hw COMMAND --help`"),
)  # fmt: skip
# Old classes, as whole names in Python code: the unambiguous ones.
NAMES = {
    "Aim": "SearchProblem",
    "BadFile": "FileFormatError",
    "BadMeasurement": "MeasurementError",
    "BadSetting": "ConfigError",
    "BadTable": "TableError",
    "Bkd": "BlockDistillConfig",
    "BlockFailed": "BlockFailedError",
    "Busy": "LockedError",
    "ClusterPool": "RayExecutor",
    "ClusterWorker": "RayWorker",
    "CommandFailed": "CommandError",
    "Completed": "CompletionResult",
    "CostParts": "CostTerms",
    "DeviceLost": "DeviceLostError",
    "Draft": "GraphBuilder, WorkloadBuilder",
    "Drawn": "DrawnNetwork",
    "Effort": "ProfilingBudget",
    "EitherCell": "CellSwitch",
    "EitherPrecision": "PrecisionSwitch",
    "Ekd": "FinetuneConfig",
    "Filled": "ProfileResult",
    "Filling": "Profiler",
    "Finetuned": "FinetunedNetwork",
    "Foretold": "Prediction",
    "Learned": "GPLatencyModel",
    "Listing": "NetworkMeasurements",
    "LocalWorker": "InProcessWorker",
    "Made": "ModuleSpec",
    "MadeByName": "NamedModuleSpec",
    "MadeOfPart": "SubmoduleSpec",
    "Moved": "Transfer",
    "NothingToFit": "InsufficientDataError",
    "PhoneFull": "PhoneFullError",
    "PhoneGone": "PhoneGoneError",
    "Prices": "CandidateCosts",
    "ProcessWorker": "SubprocessWorker",
    "Question": "SearchRequest",
    "Readings": "Telemetry",
    "SamplesJournal": "SampleJournal",
    "Spending": "BudgetOption",
    "Spreads": "VarianceParams",
    "StandIn": "OpAlias",
    "Standing": "VerificationResult",
    "Sustained": "StressResult",
    "TooMany": "TooManySumsError",
    "Trainee": "Trainer",
    "Trust": "TableQuality",
    "Unavailable": "UnavailableError",
    "UnknownName": "UnknownNameError",
    "Visit": "Trial",
    "Visitor": "TrialRunner",
    "WorstCase": "MaxCost",
}
# Names of variables, parameters, functions and attributes in Python code that say nothing about the value.
VAGUE = ("found", "joined", "kept", "made", "told")
# (file, text of the match in lower case): why it stays
ALLOWED = {
    ("donna_hw/_core/journal.py", "tell"): "a method of Python's files",
    ("donna_hw/graph/graph.py", "normalised"): "a key of layers_hash: a hash outlives names",
    ("donna_hw/spaces/vit_cells.py", "colours"): "the source of a torch module whose text is hashed (`layers_hash`)",
    ("donna_hw/spaces/vit_cells.py", "tells"): "as above",
}
PARTS = {
    "code": ("donna_hw/*.py", "donna_hw/*.j2", "donna_hw/*.js", "donna_hw/*.css", "donna_hw/*.html"),
    "pages": ("README.md", "CONTRIBUTING.md", "docs/*.md", "docs/*.py", "mkdocs.yml"),
    "files": ("recipes/*", "devices/*", "latency_tables/*.md", "latency_tables/*.toml"),
    "examples": ("examples/*", "benchmarks/*"),
}
_ONE = re.compile(
    r"(?<![A-Za-z])(?:" + "|".join(f"(?P<w{number}>{pattern})" for number, (pattern, _) in enumerate(WORDS)) + r")(?![A-Za-z])",
    re.IGNORECASE,
)  # fmt: skip


@cache
def tracked() -> tuple[str, ...]:
    """Return the files of the checkout that git does not ignore."""
    command = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return tuple(line for line in lines if (ROOT / line).is_file())


def files_of(patterns: tuple[str, ...]) -> list[str]:
    """Return the files that match one of the patterns, whose * crosses folders."""
    expressions = [re.compile(re.escape(pattern).replace(r"\*", ".*") + "$") for pattern in patterns]
    return [path for path in tracked() if any(expression.match(path) for expression in expressions)]


def words_in(where: str, text: str) -> Iterator[str]:
    """Yield a line for each retired word in a text: place, word, replacement."""
    for match in _ONE.finditer(text):
        if (where, match[0].lower()) in ALLOWED:
            continue
        replacement = WORDS[next(int(name[1:]) for name, word in match.groupdict().items() if word is not None)][1]
        yield f"{where}:{text.count(chr(10), 0, match.start()) + 1}: {match[0]!r} -> {replacement}"


def names_in(where: str, text: str) -> Iterator[str]:
    """Yield a line for each name of an old class, and each vague name, in Python code."""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type != tokenize.NAME:
            continue
        if token.string in NAMES:
            yield f"{where}:{token.start[0]}: {token.string!r} -> {NAMES[token.string]}"
        elif token.string.strip("_") in VAGUE:
            yield f"{where}:{token.start[0]}: {token.string!r} -> what the value is: rows, table, weights"


def report(lines: list[str]) -> str:
    return "\n".join([f"{len(lines)} retired words:", *lines])


@pytest.mark.parametrize("part", PARTS)
def test_no_retired_word_is_left(part: str) -> None:
    paths = files_of(PARTS[part])
    assert paths
    lines: list[str] = []
    for path in paths:
        text = Path(ROOT, path).read_text(encoding="utf-8", errors="replace")
        lines += words_in(path, text)
        if path.endswith(".py"):
            lines += names_in(path, text)
    assert not lines, report(lines)


def test_no_retired_word_is_in_the_name_of_a_file() -> None:
    names = [path.replace("/", "\n").removesuffix(Path(path).suffix) for path in tracked()]
    lines = [line for path, name in zip(tracked(), names, strict=True) for line in words_in(path, name)]
    assert not lines, report(lines)


def test_no_retired_word_is_in_the_help_of_a_command() -> None:
    from donna_hw.cli import cli

    lines: list[str] = []
    commands: list[tuple[str, click.Command, click.Context | None]] = [("donna-hw", cli, None)]
    for name, command, parent in commands:
        context = click.Context(command, parent=parent, info_name=name.split()[-1])
        lines += words_in(f"{name} --help", command.get_help(context))
        if isinstance(command, click.Group):
            commands += [(f"{name} {child}", command.commands[child], context) for child in command.commands]
    assert not lines, report(lines)


@pytest.mark.parametrize(("path", "word"), ALLOWED)
def test_every_exception_is_still_needed(path: str, word: str) -> None:
    assert word in Path(ROOT, path).read_text(encoding="utf-8").lower()


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("the front foretold", 1),
        ("a foretold_s column", 1),
        ("Sentinels beside it\nand a twin", 2),
        ("an optimistic endearing amendment", 0),
        ("unnormalised, `dearest`", 2),
        ("secure, obscured, revisited", 0),
        ("the file says so, as was said", 2),
        ("intelligent, afterwards, prejudge", 0),
        ("until the front stands, a column stands", 1),
        ("half an hour, 42 hours, one more hour", 0),
        ("another hour, hour_s, the hour", 3),
    ],
)
def test_words_are_matched_whole_and_in_names(text: str, count: int) -> None:
    assert len(list(words_in("x", text))) == count


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("found = _made = 1\n", 2),
        ("def f(kept): ...\n", 1),
        ("x.told\n", 1),
        ("'found'  # what was kept\n", 0),
        ("found_rows = remade\n", 0),
    ],
)
def test_vague_names_are_matched_in_code_alone(text: str, count: int) -> None:
    assert len(list(names_in("x", text))) == count
