"""Engines: one file each; every one works on every program, or says why it does not."""
