"""Fuzz every decoder of bytes from the network, guided by coverage (atheris, libFuzzer); `make fuzz`.

    python tests/fuzz/fuzz_decoders.py                              # all targets, a million inputs each
    python tests/fuzz/fuzz_decoders.py --runs 10000 --targets "codec int8" envelope
    python tests/fuzz/fuzz_decoders.py --targets snapshot --input crash-1234    # replay what was found

Each target runs in a process of its own. A finding is any exception other than ProtocolError, a crash, an input that
takes more than 5 s, or an allocation beyond the target's bound: every 64th input is decoded under tracemalloc. Coverage
is that of the Python code; the core's decoders give no feedback, and see damaged bytes under the sanitizers in
tests/cpp/test_codec_formats.cpp.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

_DECODERS = [
    "peer.admission.allow_list",
    "peer.codec",
    "peer.errors",
    "peer.addresses",
    "peer.network.discovery.book",
    "peer.network.gossip_frames",
    "peer.network.libp2p_framing",
    "peer.network.libp2p_negotiation",
    "peer.rounds.sealed_rounds",
    "peer.rounds.snapshot",
    "peer.wire",
]
"""What coverage is measured of."""

_MAX_INPUT = 8192
_TRACED = 64


def fuzz(name: str, runs: int) -> None:
    """Fuzz one target in this process; libFuzzer ends it."""
    import atheris

    with atheris.instrument_imports(include=_DECODERS):
        from tests.fuzz.targets import targets
    target = targets()[name]
    count = 0

    def one_input(data: bytes) -> None:
        nonlocal count
        count += 1
        if count % _TRACED:
            target(data)
            return
        tracemalloc.start(1)
        target(data)
        allocated = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        if allocated > target.max_allocated + 4 * len(data):
            raise MemoryError(f"{len(data)} bytes made {name} allocate {allocated}, at most {target.max_allocated}")

    with tempfile.TemporaryDirectory() as folder:
        for number, example in enumerate(target.examples):
            (Path(folder) / f"example{number}").write_bytes(example)
        options = [f"-runs={runs}", "-seed=1", f"-max_len={_MAX_INPUT}", "-timeout=5", "-rss_limit_mb=2048"]
        atheris.Setup([sys.argv[0], *options, "-print_final_stats=1", "-verbosity=0", folder], one_input)
        atheris.Fuzz()


def replay(name: str, path: Path) -> None:
    from tests.fuzz.targets import targets

    targets()[name](path.read_bytes())


def fuzz_all(names: list[str], runs: int) -> bool:
    """Fuzz targets one after the other, each in a process of its own; return whether nothing was found."""
    clean = True
    for name in names:
        start = time.perf_counter()
        command = [sys.executable, __file__, "--one", name, "--runs", str(runs)]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        executed = re.search(r"number_of_executed_units: (\d+)", done.stderr)
        inputs = int(executed[1]) if executed else 0
        peak = re.search(r"peak_rss_mb: +(\d+)", done.stderr)
        verdict = "clean" if done.returncode == 0 and inputs >= runs else f"FOUND (exit {done.returncode})"
        print(
            f"  {name:22s} {inputs:9,} inputs in {time.perf_counter() - start:5.0f} s,"
            f" peak memory of the process {peak[1] if peak else '?'} MB: {verdict}",
            flush=True,
        )
        if verdict != "clean":
            print(done.stdout[-4000:], done.stderr[-4000:], sep="\n", file=sys.stderr)  # the exception, and the input
            clean = False
    return clean


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1_000_000, help="inputs a target")
    parser.add_argument("--targets", nargs="+", help="some of them; all when left out")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--input", type=Path, help="decode this file once, to see what was found")
    arguments = parser.parse_args()
    if arguments.one:
        fuzz(arguments.one, arguments.runs)
        return 0
    from benchmarks.machine import describe_machine
    from tests.fuzz.targets import targets

    names = arguments.targets or list(targets())
    if unknown := sorted(set(names) - set(targets())):
        parser.error(f"--targets: no target {', '.join(unknown)}; expected some of {', '.join(targets())}")
    if arguments.input:
        replay(names[0], arguments.input)
        return 0
    print(f"{arguments.runs:,} inputs a target; {describe_machine()}", flush=True)
    return 0 if fuzz_all(names, arguments.runs) else 1


if __name__ == "__main__":
    raise SystemExit(main())
