"""Servers on the loopback interface, for tests."""
