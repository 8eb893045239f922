"""Published numbers: what others printed, in tables of their own, with source and protocol."""

import tomllib
from importlib.resources import files
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ..errors import StateError

FILE = "published.toml"


class Published(BaseModel):
    """One table, cell by cell as its source prints it.

    Example:
        >>> published()[0].columns[:2]
        ('rho', 'lam = 0 (USAM)')
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str = Field(min_length=1)
    measure: str = Field(min_length=1, description="what the numbers are")
    source: str = Field(min_length=1, description="who printed them, and where they were read")
    protocol: str = Field(min_length=1, description="how they were made, as far as the source says")
    columns: tuple[str, ...] = Field(min_length=2)
    rows: tuple[tuple[str, ...], ...] = Field(min_length=1)
    note: str = ""

    @model_validator(mode="after")
    def _rows_fit(self) -> "Published":
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"row {row!r:.60} has {len(row)} cells for {len(self.columns)} columns")
        return self


def published(text: str | None = None) -> list[Published]:
    """Read the tables that ship with sambench, or those of a given text in TOML.

    Raises:
        StateError: the text is not TOML, or a table does not hold together; the message names the table.
    """
    text = (files(__package__ or "") / FILE).read_text(encoding="utf-8") if text is None else text
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise StateError(f"{FILE} is not valid TOML: {error}; correct the line") from error
    return [_table(number, entry) for number, entry in enumerate(content.get("table", []), 1)]


def _table(number: int, entry: dict[str, Any]) -> Published:
    try:
        return Published.model_validate(entry)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "rows"
        name = entry.get("title", f"number {number}")
        raise StateError(f"{FILE}, table {name!r}: {where}: {first['msg']}; see the tables that are there") from error
