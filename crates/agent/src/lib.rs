//! HANDS on a node: pod workers, volumes, probes, logs, exec, heartbeats.
