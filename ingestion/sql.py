"""Write values into the text of SQL, for statements that take no parameters."""


def literal(value: object) -> str:
    """Quote a text, a path or a time as an SQL literal."""
    return "'" + str(value).replace("'", "''") + "'"
