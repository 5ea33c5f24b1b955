"""How well `clicktrace detect` finds labelled anomalies in series that are drawn, beside simple rules; `clicktrace bench series`."""
