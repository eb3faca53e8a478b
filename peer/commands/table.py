"""The table of all that a user types after `murmur`; each command is in a module of its name."""

from typing import Annotated

import typer

import peer
from peer.commands import exits
from peer.commands.allow_list import allow_list_app
from peer.commands.bench import bench_command
from peer.commands.doctor import doctor_command
from peer.commands.eval import eval_command
from peer.commands.identity import identity_app
from peer.commands.log import log_command
from peer.commands.peer import peer_command
from peer.commands.settings_command import SettingsCommand
from peer.commands.simulate import simulate_command
from peer.commands.status import status_command
from peer.commands.swarm_key import swarm_key_app
from peer.commands.train import train_command
from peer.commands.up import up_command

app = typer.Typer(
    name="murmur",
    help="Train one reinforcement-learning policy on many machines with nobody in charge.\n\n"
    "\b\nExamples:\n"
    "  murmur up --peers 3                     three peers on this machine\n"
    "  murmur peer 'network.addresses=[/ip4/192.0.2.7/tcp/4001]'\n"
    "                                          one peer, to join that one\n"
    "  murmur train --plot curve.png           one learner, no network\n"
    "  murmur bench train                      how fast this machine trains\n"
    "  murmur simulate --peers 32 --loss 0.05  a swarm in virtual time\n"
    "  murmur eval runs                        what the last run there has learned\n"
    "  murmur status                           how the peers on this machine are\n"
    "  murmur log --stat                       who contributed what\n"
    "  murmur doctor                           what keeps a peer from working here\n\n"
    "Settings, with their meaning and defaults: configs/config.yaml. Guide: docs/user-guide.md.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # addresses in brackets are not markup
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)


@app.callback(invoke_without_command=True)
def _root(
    *,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.", is_eager=True)] = False,
) -> None:
    if version:
        exits.tell(f"murmuration {peer.__version__}")
        raise typer.Exit


app.command("peer", cls=SettingsCommand)(peer_command)
app.command("up", cls=SettingsCommand)(up_command)
app.command("train", cls=SettingsCommand)(train_command)
app.command("eval")(eval_command)
app.command("bench", cls=SettingsCommand)(bench_command)
app.command("simulate", cls=SettingsCommand)(simulate_command)
app.command("status")(status_command)
app.command("log")(log_command)
app.command("doctor", cls=SettingsCommand)(doctor_command)
app.add_typer(identity_app, name="identity")
app.add_typer(swarm_key_app, name="swarm-key")
app.add_typer(allow_list_app, name="allow-list")
