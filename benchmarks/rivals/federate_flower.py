"""A server or a client of Flower, by its interface for plain processes: FedAvg over everybody who is there."""

import numpy as np
import numpy.typing as npt
from flwr.client import NumPyClient
from flwr.compat.client.app import start_client
from flwr.server import ServerConfig, start_server
from flwr.server.strategy import FedAvg

from benchmarks.rivals.federate import Options, Worker, read_options

_LEAST = 2
"""Flower's own default: with fewer clients no round begins."""

_NDArrays = list[npt.NDArray[np.float32]]
_Config = dict[str, object]


class Member(NumPyClient):
    """A client whose training is to rest."""

    def __init__(self, options: Options) -> None:
        self._params = options.params
        self._worker = Worker(options)

    def get_parameters(self, config: _Config) -> _NDArrays:  # noqa: ARG002  # Flower's interface
        return [np.zeros(self._params, np.float32)]

    def fit(self, parameters: _NDArrays, config: _Config) -> tuple[_NDArrays, int, _Config]:  # noqa: ARG002  # likewise
        self._worker.tell(parameters[0])
        return [parameters[0] + self._worker.work()], 1, {}


def main(options: Options) -> None:
    if options.index >= 0:
        start_client(server_address=options.address, client=Member(options).to_client())
        return
    everybody = FedAvg(fraction_evaluate=0.0, min_fit_clients=_LEAST, min_available_clients=_LEAST)
    start_server(server_address=options.address, config=ServerConfig(num_rounds=10**9), strategy=everybody)


if __name__ == "__main__":
    main(read_options())
