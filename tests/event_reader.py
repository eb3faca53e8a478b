"""TensorBoard's own reader of event files, which knows nothing of how they were written."""

from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def _loaded(folder: Path) -> EventAccumulator:
    return EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0}).Reload()


def read_scalars(folder: Path) -> dict[str, dict[int, float]]:
    """Return the values of a run by tag and step, float32 each; of all files in its folder, as TensorBoard shows it."""
    events = _loaded(folder)
    return {tag: {event.step: event.value for event in events.Scalars(tag)} for tag in events.Tags()["scalars"]}


def read_text(folder: Path, tag: str) -> str:
    """Return the newest text."""
    return str(_loaded(folder).Tensors(f"{tag}/text_summary")[-1].tensor_proto.string_val[0].decode())


def event_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("events.out.tfevents.*"))
