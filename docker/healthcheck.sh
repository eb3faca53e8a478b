#!/bin/sh
# Healthy: this container's own peer has touched its heartbeat within the last 30 s. All replicas share one volume, so
# the peer leaves the path of its slot in /tmp/murmur-slot, which is private to the container.
slot=$(cat /tmp/murmur-slot 2>/dev/null) || { echo "the peer has not taken a slot yet"; exit 1; }
touched=$(stat -c %Y "$slot/heartbeat" 2>/dev/null) || { echo "no heartbeat in $slot yet"; exit 1; }
age=$(($(date +%s) - touched))
echo "last heartbeat of $slot: $age s ago"
# A heartbeat of the future is one from before the clock was set back: a peer that lives has touched it again since.
[ "$age" -lt 30 ] && [ "$age" -gt -30 ]
