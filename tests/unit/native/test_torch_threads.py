"""The libtorch back end in a program that uses torch itself: how many threads that has is the program's affair."""

import subprocess
import sys

PROGRAM = """
import threading
import torch
from peer.native import PpoSettings, make_ppo_agent

def in_thread(work):
    found = []
    thread = threading.Thread(target=lambda: found.append(work()))
    thread.start()
    thread.join()
    return found[0]

torch.set_num_threads(3)
agent = make_ppo_agent("CartPole-v1", PpoSettings(backend="libtorch", threads=2, minibatch_size=1024))
for train in (lambda: agent.train(1, 60.0), lambda: agent.evaluate(2, 1)):
    train()
    print(torch.get_num_threads(), in_thread(torch.get_num_threads))
    in_thread(train)
    print(torch.get_num_threads(), in_thread(torch.get_num_threads))
"""


def test_threads_of_a_program_keep_their_number_and_new_ones_get_it() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=120.0, check=True)
    assert done.stdout.split() == ["3"] * 8, done.stdout
