"""Write values and names into the text of SQL, for statements that take no parameters."""


def literal(value: object) -> str:
    """Quote a text, a path or a time as an SQL literal."""
    return "'" + str(value).replace("'", "''") + "'"


def identifier(name: object) -> str:
    """Quote a name of a table or column."""
    return '"' + str(name).replace('"', '""') + '"'
