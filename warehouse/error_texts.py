"""What may be told of DuckDB's error messages: a failed cast or a broken constraint quotes the value, which may be personal data."""

import re

# These speak of SQL, names, files and memory. All others may quote a value of a row.
_WITHOUT_VALUES = (
    "Binder",
    "Catalog",
    "Dependency",
    "HTTP",
    "IO",
    "Interrupt",
    "Not implemented",
    "Out of Memory",
    "Parser",
    "Permission",
    "Syntax",
    "Transaction",
)
# A value that holds a quote would end a quoted text too soon: all that follows the first quote or digit goes.
_TOLD = re.compile(
    rf"(?P<told>\b(?!(?:{'|'.join(_WITHOUT_VALUES)}) Error: )[A-Z][A-Za-z]*(?: [A-Za-z]+)* Error: [^'\"\d\n]*).*", re.S
)


def without_values(text: str) -> str:
    """Cut a message of DuckDB, or of dbt about one, before the first value that it may quote."""
    return _TOLD.sub(lambda found: f"{found['told'].rstrip()} … (values are left out)", text)
