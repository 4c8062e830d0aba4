"""Drink in a browser: pages over the public gRPC API."""
