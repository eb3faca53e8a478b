"""The kinds of failure a peer tells apart (CONTRIBUTING.md, "Errors").

A caller's mistake is a plain `ValueError` at the border. A bug of our own is left to crash: the supervisor
restarts the peer. What remains is what other machines and the world do to us.
"""


class MurmurationError(Exception):
    """Base of every error that this project raises on purpose."""


class ConfigError(MurmurationError):
    """The configuration cannot be used; the message names file, key, what was expected and the nearest name."""


class ProtocolError(MurmurationError):
    """Another peer sent something it must not send. Drop the message, count `reason`, carry on.

    reason: a short, stable, snake_case word that names the counter, such as `bad_signature`.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class TransportError(MurmurationError):
    """The network did not do what was asked (no route, reset, deadline); trying again later may help."""


class SelfDialError(TransportError):
    """The address leads back to this very peer, as one of a service's does: nothing to retry or report."""


class IdentityInUseError(TransportError):
    """Another process answers with this peer's own identity: the key is used twice at once."""


class StorageError(MurmurationError):
    """The disk did not do what was asked (full, read-only, corrupt file); the last good state is untouched."""


class EnvFailedError(MurmurationError):
    """An environment that is written in Python raised, or broke Gymnasium's rules: nothing can be trained in it."""


class EnvStoppedError(MurmurationError):
    """An environment that is written in Python made no further step, because we were asked to stop: nothing failed."""
