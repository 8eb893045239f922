"""Where suites are: those that ship with sambench, and TOML files."""

from ...reading import TomlFiles

SUITES = TomlFiles("suite", __name__.rpartition(".")[0])
list_suites = SUITES.names
