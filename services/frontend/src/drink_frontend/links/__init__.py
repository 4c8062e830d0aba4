"""The edge for machines' agents: their streams, messages, heartbeats and limits."""
