"""What each event is in words: one short plain sentence, which says what to do where something is to be done."""

from collections.abc import Callable, Iterable
from typing import Any

from peer.telemetry import connection_events, disk_events, peer_events, process_events, round_events
from peer.telemetry.event import Event, RepeatedEvent
from peer.telemetry.names import NameBook
from peer.telemetry.plain_text import amount, drawing, duration, number, plural, printable, short, shortened, size
from peer.types import PeerId

MAX_LINE = 600

_PARTS_NAMED = 4
_AT_ONCE = 0.8
"""Part of a lateness that came at one time, from which on it was a pause: an overloaded machine is late often."""


def sentence(event: Event, names: NameBook) -> str:
    """Return what the log says of an event other than `RoundSealed`, without prefix, printable and bounded."""
    return printable(shortened(unbounded_sentence(event, names), most=MAX_LINE))


def unbounded_sentence(event: Event, names: NameBook) -> str:
    """Return the same as it is: the words of strangers in it may be long, and anything."""
    text = _SENTENCES[type(event)](event, names)
    if isinstance(event, RepeatedEvent) and event.count > 1:
        text += f" ({event.count} times)"
    return text


def _listed(words: Iterable[str]) -> str:
    return ", ".join(words)


def _looking_for(event: process_events.LookingFor, _names: NameBook) -> str:
    if not event.targets:
        return "looking for nobody (network.dns, network.addresses and network.mdns are unset): waiting to be dialled"
    return f"looking for peers at {_listed(event.targets)}"


def _running_late(event: process_events.RunningLate, _names: NameBook) -> str:
    if event.longest_s >= _AT_ONCE * event.late_s:
        return (
            f"stood still for {duration(event.longest_s)}: the process or its machine was paused, or got no CPU time;"
            " others may have given it up, and it catches up with them"
        )
    return (
        f"short of CPU time: the event loop was late for {duration(event.late_s)} of the last"
        f" {duration(event.window_s)}, and answers with it; give this machine fewer peers or more cores, or raise"
        " round.train_s"
    )


def _sealing_alone(event: process_events.SealingAlone, _names: NameBook) -> str:
    text = f"sealing alone for {duration(event.since_s)} although connected to {plural(event.connected, 'peer')}: "
    if event.failures:
        return text + f"the last {plural(event.failures, 'exchange')} with them failed ({event.cause})"
    return text + "they answer, but none takes part on the same chain yet"


def _dial_cause(event: peer_events.DialFailed | peer_events.DialRetried) -> str:
    """Return the cause without the address, which the sentence names already."""
    return event.cause.removeprefix(f"cannot reach {event.address}: ")


def _dialled(event: peer_events.DialFailed | peer_events.DialRetried, names: NameBook) -> str:
    """Return where nobody answers, and who is expected there, if that peer has a name: its id is in the address."""
    if event.remote is None or event.remote not in names:
        return event.address
    return f"{names.name_of(event.remote)} at {event.address}"


def _owner(peer: PeerId | None, names: NameBook) -> str:
    return "nobody" if peer is None else names.name_of(peer)


_TWICE = (
    "Next step: stop one of them; or give each a storage.data_dir of its own, with no copied identity.key in it"
    " (`murmur identity new` makes another)"
)


def _place(addresses: tuple[str, ...]) -> str:
    return _listed(addresses) or "an unknown address"


def _runs_twice(event: peer_events.IdentityRunsTwice, names: NameBook) -> str:
    return (
        f"{names.name_of(event.remote)} ({event.remote}) runs twice: as boot {event.boot} at {_place(event.addresses)},"
        f" which is served, and as boot {event.other_boot} at {_place(event.other_addresses)}, which is turned away."
        f" {_TWICE}"
    )


def _own_runs_twice(event: peer_events.OwnIdentityRunsTwice, names: NameBook) -> str:
    if event.source is None:
        other = f"and at {_place(event.addresses)}"
    else:
        other = f"and as boot {event.other_boot} ({event.other_name}) at {_place(event.addresses)}"
        other += f", says {names.name_of(event.source)}"
    verdict = ""
    if event.leaves:
        verdict = " That one is the newer, so this process takes no part any more and waits to be stopped."
    elif event.source is not None:
        verdict = " This one is the newer and goes on."
    return f"this identity ({event.peer_id}) runs twice: here as boot {event.boot}, {other}.{verdict} {_TWICE}"


def _robustness(event: round_events.RobustnessChanged, _names: NameBook) -> str:
    if event.withstands:
        return f"{event.rule} withstands {event.withstands} bad of {plural(event.roster, 'peer')}"
    return f"{event.rule} claims no robustness with {plural(event.roster, 'peer')}: too few to tell who is wrong"


def _model_differed(event: round_events.ModelDiffered, _names: NameBook) -> str:
    first, others = event.parts[:_PARTS_NAMED], event.parts[_PARTS_NAMED:]
    where = f" in {_listed((*first, f'{len(others)} others') if others else first)}" if first else ""
    told = f"round {event.round}: own model {short(event.own)} is not the sealed {short(event.sealed)}{where}"
    if event.repairing:
        done = "a majority got the sealed one, so this peer takes a snapshot and replays from there"
    else:
        done = "not followed unless a majority votes for it"
    return f"{told}; {done} ({plural(event.incidents, 'incident')} so far)"


def _roster(event: round_events.RosterChanged, names: NameBook) -> str:
    changes = [f"{name} in" for name in sorted(map(names.name_of, event.added))]
    changes += [f"{name} out" for name in sorted(map(names.name_of, event.removed))]
    return f"roster of round {event.round}: {_listed(changes)}; {plural(event.roster, 'peer')}"


def _allow_list_refused(event: peer_events.AllowListRefused, names: NameBook) -> str:
    if event.source is not None:
        return f"refused an allow-list of {names.name_of(event.source)}: {event.cause}"
    return f"refused the allow-list in {event.file or 'a file here'}: {event.cause}"


def _none_final_after(round_number: int | None) -> str:
    return "no round is final for now" if round_number is None else f"no round after {round_number} is final for now"


def _input_refused(event: peer_events.InputRefused, _names: NameBook) -> str:
    """Messages alone come from peers that the log names, each with its reason: most have other settings."""
    hint = ""
    if event.frames or event.streams:
        hint = (
            "; another program knocks at this port, such as a health check or a scanner, or a peer that does not follow"
            " the protocol, or this one was too late to answer"
        )
    return (
        f"refused since the start: {plural(event.frames, 'frame')}, {plural(event.streams, 'stream')},"
        f" {plural(event.messages, 'message')}{hint}"
    )


def _finished(event: process_events.RunFinished, _names: NameBook) -> str:
    saved = f", saved to {event.model_path}" if event.model_path else ""
    return (
        f"finished ({event.reason}): return {number(event.mean_return)}"
        f" after {plural(event.rounds, 'round')} ({plural(event.peers, 'peer')} in the last),"
        f" {amount(event.env_steps)} env steps, {duration(event.wall_s)}; sent {size(event.bytes_sent)},"
        f" received {size(event.bytes_received)}; model {short(event.model)}{saved}"
    )


_SENTENCES: dict[type[Event], Callable[[Any, NameBook], str]] = {  # Any: each takes its own key's type
    process_events.PeerStarted: lambda e, _: (
        f"started murmuration {e.version} as {e.peer_id}, boot {e.boot}; run {e.run}, env {e.env},"
        f" {e.num_params} parameters; data in {e.data_dir}"
    ),
    process_events.FirstModelBegun: lambda e, _: drawing(e.weights, e.about_s),
    process_events.Listening: lambda e, _: f"listening on {_listed(e.addresses)}",
    process_events.Announcing: lambda e, _: (
        f"announcing {_listed(e.addresses)}" if e.addresses else "announcing nothing to other machines: loopback only"
    ),
    process_events.LookingFor: _looking_for,
    process_events.StateRestored: lambda e, _: f"went on from round {e.round} on disk, model {short(e.model)}",
    process_events.TrainingStarted: lambda e, _: (
        f"training on {e.device} with {plural(e.threads, 'thread')}, {duration(e.startup_s)} after the start"
    ),
    process_events.GoalMayBeOutOfReach: lambda e, _: e.what,
    process_events.SealingAlone: _sealing_alone,
    process_events.RunningLate: _running_late,
    process_events.Waiting: lambda e, _: f"round {e.round}: waiting for {e.what} since {duration(e.since_s)}",
    process_events.ShutdownStarted: lambda e, _: (
        f"stopping: {e.cause}" + (f", when {e.waits_for}; Ctrl-C once more ends at once" if e.waits_for else "")
    ),
    process_events.EnvironmentFailed: lambda e, _: f"stopping, as nothing can be trained: {e.cause}",
    process_events.RunFinished: _finished,
    process_events.RunAlreadyFinished: lambda e, _: (
        f"nothing to do: this run finished before ({e.reason}): return {number(e.mean_return)}"
        f" after {plural(e.rounds, 'round')}, {amount(e.env_steps)} env steps; model {short(e.model)},"
        f" saved to {e.model_path}; to train anew, delete {e.data_dir} or set another run.name"
    ),
    connection_events.ConnectionsTaken: lambda e, _: (
        f"{e.strangers} of {e.connections} connections are held by peers that were not admitted: the oldest of them"
        " gives way to whoever connects"
    ),
    connection_events.AcceptFailed: lambda e, _: f"nobody can connect to this peer: {e.cause}",
    peer_events.PeerJoined: lambda e, names: (
        f"met {names.name_of(e.remote)} ({e.remote}, boot {e.boot}); {plural(e.peers, 'peer')} connected"
    ),
    peer_events.GossipInterrupted: lambda e, names: (
        f"{names.name_of(e.remote)} took no gossip in {e.failures} tries: {e.cause}; it hears of rounds by"
        f" anti-entropy, some seconds later; if this goes on, look at its log"
    ),
    peer_events.PeerSuspected: lambda e, names: (
        f"{names.name_of(e.remote)} does not answer (suspected by {e.by}); silent for {e.silent_s:.1f} s, given up in"
        f" {e.left_s:.1f} s unless it does"
    ),
    peer_events.PeerReturned: lambda e, names: (
        f"{names.name_of(e.remote)} is back after {duration(e.silent_s)} of silence"
    ),
    peer_events.PeerStopped: lambda e, names: (
        f"{names.name_of(e.remote)} has stopped; {plural(e.peers, 'peer')} connected"
    ),
    peer_events.PeerLeft: lambda e, names: (
        f"lost {names.name_of(e.remote)}: {e.cause}; {plural(e.peers, 'peer')} connected"
    ),
    peer_events.PeerRefused: lambda e, names: (
        f"refused {names.name_of(e.remote)} ({e.remote}{f', at {e.host}' if e.host else ''}): {e.reason}: {e.detail}"
    ),
    peer_events.DialRetried: lambda e, names: f"no answer from {_dialled(e, names)} yet: {_dial_cause(e)}",
    peer_events.DialFailed: lambda e, names: (
        f"no answer from {_dialled(e, names)} in {e.failures} tries: {_dial_cause(e)};"
        f" trying on, next in {duration(e.retry_s)}"
    ),
    peer_events.AllowListAdopted: lambda e, names: (
        f"allow-list version {e.version} holds now: {plural(e.allowed, 'peer')} may take part"
        f" (from {'a file' if e.source is None else names.name_of(e.source)})"
    ),
    peer_events.AllowListRefused: _allow_list_refused,
    peer_events.NotAllowed: lambda e, _: (
        f"this peer is not on the allow-list, version {e.version}, and nobody takes it in:"
        f" have {e.peer_id} added and signed"
    ),
    peer_events.PeerDenied: lambda e, names: (
        f"denied {names.name_of(e.remote)} ({e.remote}) from now on: {e.what}"
        f" ({'seen here' if e.source is None else f'proof from {names.name_of(e.source)}'})"
    ),
    peer_events.IdentityRunsTwice: _runs_twice,
    peer_events.OwnIdentityRunsTwice: _own_runs_twice,
    peer_events.DiscoveryFailed: lambda e, _: f"found no address by {e.source}: {e.cause}",
    peer_events.AddressReached: lambda e, names: f"reachable at {_listed(e.addresses)}, says {names.name_of(e.remote)}",
    peer_events.AddressesUnreached: lambda e, _: (
        f"nobody could reach us at {_listed(e.addresses)} ({plural(e.asked, 'peer')} tried); our own connections carry"
        f" everything, so training goes on. Next step: open or forward that TCP port, or set network.announce"
    ),
    peer_events.AddressesChanged: lambda e, _: (
        (f"this machine is no longer at {_listed(e.gone)}; " if e.gone else "")
        + f"others are told from now on that this peer is at {_listed(e.now)}"
    ),
    peer_events.MessageRefused: lambda e, names: (
        f"refused a message of {names.name_of(e.remote)}: {e.reason}: {e.detail}"
    ),
    peer_events.InputRefused: _input_refused,
    round_events.RoundStarted: lambda e, _: f"round {e.round} started on {short(e.base)}",
    round_events.RoundTrained: lambda e, _: (
        f"round {e.round}: trained {plural(e.env_steps, 'env step')} in {duration(e.train_s)}, training return"
        f" {number(e.mean_return)} over {plural(e.episodes, 'episode')}; waited {duration(e.waited_s)} for the network"
    ),
    round_events.TasksTrained: lambda e, _: (
        f"round {e.round}: training return "
        + ", ".join(f"{number(value)} on {task}" for task, value in zip(e.tasks, e.mean_returns, strict=True))
    ),
    round_events.RoundFinal: lambda e, _: (
        f"round {e.round} is final among {plural(e.roster, 'peer')}, model {short(e.model)}"
    ),
    round_events.FinalityContested: lambda e, names: (
        f"{_none_final_after(e.round)}: {names.name_of(e.remote)} is on another chain; final again once the two are one"
    ),
    round_events.FinalityReopened: lambda e, names: (
        f"{_none_final_after(e.round)}: {names.name_of(e.remote)} is back, which decides on them, too;"
        " final again once most have voted"
    ),
    round_events.FinalityGoesOn: lambda e, names: (
        f"rounds become final without {names.name_of(e.remote)} from now on:"
        " it has been on another chain for too long; its log tells why it does not come over"
    ),
    round_events.TipReplaced: lambda e, _: (
        f"round {e.round}: took over a better branch, {plural(e.undone, 'round')} undone,"
        f" {plural(e.carried, 'own delta')} carried over; model {short(e.model)}"
    ),
    round_events.BranchWorkReturned: lambda e, _: (
        f"round {e.round}: {amount(e.env_steps)} env steps of own work on the branch that was left"
        f" come into the next delta"
    ),
    round_events.SealingStopped: lambda e, _: (
        f"round {e.round}: stopped sealing: {e.reachable} of {e.roster} peers of the roster can be reached, no majority"
        f" (round.partition: strict); training on, sealing goes on when more are back"
    ),
    round_events.SealingWentOn: lambda e, _: (
        f"round {e.round}: sealing goes on, a majority of the roster can be reached"
    ),
    round_events.RosterChanged: _roster,
    round_events.RobustnessChanged: _robustness,
    round_events.DeltaCarried: lambda e, _: f"round {e.round}: own delta carried over: {e.cause}",
    round_events.ModelDiffered: _model_differed,
    round_events.Evaluated: lambda e, _: (
        f"round {e.round}: greedy return {number(e.mean_return)} over {plural(e.episodes, 'episode')}"
    ),
    round_events.TrainingDiverged: lambda e, _: (
        f"round {e.round}: training diverged, {amount(e.env_steps)} env steps given up: {e.cause}; going on from the"
        f" common model (a lower ppo.learning_rate may help)"
    ),
    round_events.WorkDropped: lambda e, _: (
        f"gave up {amount(e.env_steps)} env steps of own work: the new chain may hold it"
    ),
    round_events.TasksAssigned: lambda e, _: (
        f"round {e.round}: {'helping with' if e.helping else 'took'} {'task' if len(e.tasks) == 1 else 'tasks'}"
        f" {_listed(e.tasks)}"
    ),
    round_events.TaskMoved: lambda e, names: (
        f"round {e.round}: task {e.task} moved from {_owner(e.previous_owner, names)}"
        f" to {_owner(e.new_owner, names)}: {e.why}"
    ),
    disk_events.SnapshotSaved: lambda e, _: f"round {e.round}: saved a snapshot, {size(e.size_bytes)}, {e.path}",
    disk_events.StateSaved: lambda e, _: (
        f"saved round {e.round}, model {short(e.model)}; the next start goes on from there"
    ),
    disk_events.ModelSaved: lambda e, _: f"model of round {e.round}: {e.path}",
    disk_events.SnapshotAdopted: lambda e, names: (
        f"took the snapshot of round {e.round} from {names.name_of(e.donor)}, model {short(e.model)}"
    ),
    disk_events.StateDamaged: lambda e, _: f"{e.path} is damaged: {e.cause}; {e.remedy}",
    disk_events.OtherVersionKept: lambda e, _: (
        f"{e.path} is this run's state of another version of the program; it stays as it is; {e.remedy}"
    ),
    disk_events.OtherSettingsKept: lambda e, _: (
        f"{_listed(e.keys)} changed, marked (=): the state under the earlier settings stays in {e.path}; {e.remedy}"
    ),
    disk_events.StorageRecovered: lambda e, _: f"could {e.operation} again",
    disk_events.StorageFailed: lambda e, _: f"could not {e.operation}: {e.cause}; training goes on",
}
