"""A peer of hivemind that averages its parameters with a group of all others after each stretch of work."""

from typing import Any

import hivemind
import torch
from hivemind.averaging import DecentralizedAverager

from benchmarks.rivals.federate import Options, Worker, read_options, say

_PATIENCE_S = 60.0


def main(options: Options) -> None:
    dht = hivemind.DHT(initial_peers=[options.address] if options.address else [], start=True)
    params = torch.zeros(options.params)
    averager: Any = DecentralizedAverager(  # Any: it has no types
        [params], dht, prefix="federation", target_group_size=options.members, start=True
    )
    say(address=str(dht.get_visible_maddrs()[0]))
    worker = Worker(options)
    while True:
        change = torch.from_numpy(worker.work())
        with averager.get_tensors() as tensors:
            tensors[0].add_(change)
        try:
            averager.step(timeout=_PATIENCE_S)
        except Exception as error:  # no group was found, or it fell apart: work goes on
            say(failed=repr(error))
            continue
        with averager.get_tensors() as tensors:
            worker.tell(tensors[0].numpy())


if __name__ == "__main__":
    main(read_options())
