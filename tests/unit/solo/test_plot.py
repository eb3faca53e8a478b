"""The plot of `murmur train`: what is drawn, and what is told before training when it cannot be."""

import importlib.util
import math
from pathlib import Path

import numpy as np
import pytest
from matplotlib import image

from peer.errors import StorageError
from peer.solo.plot import check_plot, draw_curve
from peer.solo.run import Point


def point(env_steps: int, greedy: float, train: float = math.nan) -> Point:
    return Point(env_steps=env_steps, train_s=0.1, greedy_return=greedy, train_return=train)


CURVE = [point(0, 9.0), point(4096, 200.0, 40.0), point(8192, 480.0, 300.0)]


def test_the_plot_is_a_png_that_shows_the_curve(tmp_path: Path) -> None:
    empty, drawn = tmp_path / "empty.png", tmp_path / "drawn.png"
    draw_curve(empty, [], title="same", target=475.0)
    draw_curve(drawn, CURVE, title="same", target=475.0)
    assert drawn.read_bytes().startswith(b"\x89PNG")
    pixels = image.imread(drawn)
    assert pixels.shape == (540, 960, 4)
    assert not np.array_equal(pixels, image.imread(empty))


@pytest.mark.parametrize("curve", [[], [point(0, 1.0)], [point(0, math.nan), point(1, math.inf)]])
def test_short_and_broken_curves_are_drawn_too(tmp_path: Path, curve: list[Point]) -> None:
    draw_curve(tmp_path / "curve.png", curve, title="", target=None)
    assert (tmp_path / "curve.png").stat().st_size > 0


@pytest.mark.parametrize("name", ["curve.pdf", "curve", "curve.png.txt"])
def test_only_png_is_promised(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=r"ends in \.png"):
        check_plot(tmp_path / name)


def test_a_missing_matplotlib_is_told_before_training_with_the_way_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(ValueError, match="pip install matplotlib"):
        check_plot(tmp_path / "curve.png")


def test_a_folder_that_cannot_be_is_told_before_training(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="file"):
        check_plot(tmp_path / "file" / "curve.png")


def test_a_folder_where_the_plot_should_go_is_told_before_training(tmp_path: Path) -> None:
    (tmp_path / "curve.png").mkdir()
    with pytest.raises(StorageError, match=r"cannot write the plot .*curve\.png: is a directory; name a file in it"):
        check_plot(tmp_path / "curve.png")


def test_the_check_leaves_nothing_and_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "curve.png").write_text("an older one")
    check_plot(tmp_path / "curve.png")
    assert [path.name for path in tmp_path.iterdir()] == ["curve.png"]
    assert (tmp_path / "curve.png").read_text() == "an older one"


def test_the_plots_folder_is_made(tmp_path: Path) -> None:
    check_plot(tmp_path / "new" / "curve.png")
    assert (tmp_path / "new").is_dir()


def test_a_plot_that_cannot_be_written_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "curve.png").mkdir()
    with pytest.raises(StorageError, match=r"curve\.png"):
        draw_curve(tmp_path / "curve.png", CURVE, title="", target=None)
