"""The suites that ship with sambench, as TOML."""
