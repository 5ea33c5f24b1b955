"""Anomaly scores for any series: causal, the same constants for every file. `scoring.score` is the door; docs/detection.md says how it works."""
