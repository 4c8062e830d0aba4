"""Drives a machine's board and tells what its motors did."""
