# What Prometheus' node exporter collects from a text file, made from `murmur status --json`:
#   murmur status --json --data-dir /var/lib/murmuration | jq -r -f status.jq >murmur.tmp && mv murmur.tmp murmur.prom
# Once a minute, in the folder that its option --collector.textfile.directory names. What is healthy: docs/deployment.md.
.[] | (.slot | sub(".*/"; "")) as $slot | {
  swarm_peer_up: (if .running then 1 else 0 end)
} + if .running then {
  swarm_rounds_total: .round,
  swarm_round_open_seconds: .open_s,
  swarm_rounds_not_final: .lag,
  swarm_env_steps_total: .env_steps,
  swarm_return: .mean_return,
  swarm_peers_connected: [.peers[] | select(.me or .connected)] | length,
  swarm_peers_lost_total: (.counters.peers_lost // 0),
  swarm_models_differed_total: (.counters.models_differed // 0),
  swarm_messages_refused_total: ([.refused[]] | add // 0),
  swarm_sent_bytes_total: .bytes_sent,
  swarm_received_bytes_total: .bytes_received,
  swarm_event_loop_lateness: .local_health,
  swarm_peer_parted: (if .superseded != "" or .admission.named == false then 1 else 0 end)
} else {} end | to_entries[] | select(.value != null) | "\(.key){slot=\"\($slot)\"} \(.value)"
