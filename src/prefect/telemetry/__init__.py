"""What OpenTelemetry is told of a run: spans and metrics, for dashboards that people have.

Run passes here where it is asked for, by what becomes of each task. May import core, engine and secrets; OpenTelemetry
itself is imported when the first run is told of.
"""
