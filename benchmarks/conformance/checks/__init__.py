"""The conformance checks, one question a file."""
