"""Parts of py-libp2p that no peer uses are not loaded: asked in a process of its own, as here it is too late."""

import subprocess
import sys

from peer.network.libp2p_unused import UNUSED

_PROGRAM = """
import sys
from peer.network.libp2p_unused import leave_out_unused
leave_out_unused()
import peer.network.libp2p_transport
print(*[name for name, module in sys.modules.items() if getattr(module, "__file__", None)])
try:
    import zeroconf
    zeroconf.Zeroconf()
except RuntimeError as error:
    print(error)
"""


def test_what_no_peer_uses_is_not_loaded_and_says_so_when_it_is_used_after_all() -> None:
    done = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=True)
    loaded, complaint = done.stdout.splitlines()
    names = loaded.split()
    assert "libp2p.pubsub.gossipsub" in names
    assert not [name for name in names for unused in UNUSED if name == unused or name.startswith(f"{unused}.")]
    assert "Zeroconf was left out" in complaint
