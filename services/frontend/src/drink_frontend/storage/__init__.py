"""Keeps accounts, credits, stock and drops durably, behind the ports of the domain."""
