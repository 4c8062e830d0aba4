"""Drink's command line, a client of the public gRPC API."""
