"""What `murmur simulate` does between its options and its exit code."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from peer.config.schema import Config
from peer.round_parts import round_rules
from peer.simulation.arguments import command
from peer.simulation.plot import draw_run
from peer.simulation.result import Result
from peer.simulation.run import ProgressLines, simulate
from peer.simulation.scenario import Scenario
from peer.simulation.subjects import make_subject
from peer.solo.plot import check_plot

EXIT_UNSOUND = 1


def simulate_and_show(
    scenario: Scenario, config: Config, *, seeds: int, plot: Path | None, as_json: bool, out: Callable[[str], None]
) -> int:
    """Run one scenario for `seeds` seeds and print each result; return the exit code. Raises: as `check_plot`.

    plot: of several seeds, each is drawn into a file of its own that has the seed in its name.
    """
    numbers = range(scenario.seed, scenario.seed + seeds)
    plots = {} if plot is None else {seed: _numbered(plot, seed) if seeds > 1 else plot for seed in numbers}
    for file in plots.values():
        check_plot(file)
    scenario = replace(scenario, rules=round_rules(config), anti_entropy_s=config.round.anti_entropy_s)
    for seed in numbers:
        result = _run(replace(scenario, seed=seed), config)
        out(result.json() if as_json else result.text())
        if seed in plots:
            draw_run(plots[seed], result)
        if not result.is_sound:
            return EXIT_UNSOUND
    return 0


def _numbered(plot: Path, seed: int) -> Path:
    return plot.with_name(f"{plot.stem}-{seed}{plot.suffix}")


def _run(scenario: Scenario, config: Config) -> Result:
    """Raises: whatever a machine has crashed with; a note on it names the seed and the command to replay it."""
    try:
        return simulate(scenario, subject=make_subject(scenario, config), config=config, progress=ProgressLines())
    except Exception as error:  # raised again
        error.add_note(f"seed {scenario.seed} failed; replay: {command(scenario)}")
        raise
