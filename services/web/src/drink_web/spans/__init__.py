"""Spans of traces; nothing here imports OpenTelemetry unless traces are sent."""
