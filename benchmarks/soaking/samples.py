"""What a soak measures, sample by sample, and the file it is kept in."""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One peer at one time. life: number of its starts.

    sealed_per_min, deltas_per_round: since the sample before, NaN without a round.
    """

    hours: float
    peer: str
    life: int
    rss_mib: float
    descriptors: int
    threads: int
    disk_mib: float
    cpu_s: float
    sealed_per_min: float
    deltas_per_round: float


_FLOATS = ("hours", "rss_mib", "disk_mib", "cpu_s", "sealed_per_min", "deltas_per_round")


class SampleFile:
    """Appends samples to a CSV file; a soak that is cut short leaves what it had."""

    def __init__(self, path: Path) -> None:
        self._stream = path.open("w", newline="")
        self._writer = csv.DictWriter(self._stream, [field.name for field in fields(Sample)])
        self._writer.writeheader()

    def add(self, samples: Iterable[Sample]) -> None:
        self._writer.writerows(asdict(sample) for sample in samples)
        self._stream.flush()

    def close(self) -> None:
        self._stream.close()


def read_samples(path: Path) -> list[Sample]:
    with path.open(newline="") as stream:
        return [
            Sample(
                peer=row["peer"],
                life=int(row["life"]),
                descriptors=int(row["descriptors"]),
                threads=int(row["threads"]),
                **{name: float(row[name]) for name in _FLOATS},
            )
            for row in csv.DictReader(stream)
        ]


def of_peer(samples: Iterable[Sample], peer: str) -> list[Sample]:
    return [sample for sample in samples if sample.peer == peer]


def peers_in(samples: Iterable[Sample]) -> Sequence[str]:
    return sorted({sample.peer for sample in samples})
