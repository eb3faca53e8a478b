"""The fuzzer's targets themselves: examples are valid, so that fuzzing starts behind the first check."""

from types import ModuleType

import pytest

from peer.codec.registry import CODECS
from peer.wire import admission, proofs, sync
from tests.fuzz.targets import Target, targets

TARGETS = targets()


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS.keys())
def test_examples_are_decoded(target: Target) -> None:
    for example in target.examples:
        target.decode(example)
        target(example[:-1])
        target(b"")


def test_every_codec_is_a_target() -> None:
    assert {name for name in TARGETS if name.startswith("codec ")} == {f"codec {name}" for name in CODECS}


@pytest.mark.parametrize("wire", [admission, proofs, sync])
def test_every_bounded_message_is_a_target(wire: ModuleType) -> None:
    names = {name.replace(" ", "").replace("-", "") for name in TARGETS}
    assert not [each.__name__ for each in wire._BOUNDS if each.__name__.lower() not in names]
