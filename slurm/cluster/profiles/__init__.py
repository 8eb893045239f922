"""Cluster profiles that ship with sambench."""
