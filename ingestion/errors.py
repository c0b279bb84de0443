"""The two kinds of failure: those that a retry may solve, and those that need a person."""


class ClearwellError(Exception):
    """Say in one line what failed, where, and what to do next. Raise a subclass."""

    def __init__(self, what: str, *, where: str = "", todo: str = "") -> None:
        super().__init__(what, where, todo)
        self.what = _one_line(what)
        self.where = _one_line(where)
        self.todo = _one_line(todo)

    def __str__(self) -> str:
        text = f"{self.what} ({self.where})" if self.where else self.what
        end = "" if text.endswith("?") else "."
        return f"{text}{end} Next: {self.todo}" if self.todo else text

    def __reduce__(self) -> tuple[type, tuple[str], dict[str, str]]:
        # Airflow carries exceptions between processes: keyword arguments alone would not survive pickling.
        return type(self), (self.what,), {"what": self.what, "where": self.where, "todo": self.todo}


class Transient(ClearwellError):
    """A failure that a retry may solve."""


class Permanent(ClearwellError):
    """A failure that a retry cannot solve: a person must act."""


class Broken(Permanent):
    """A file that Clearwell wrote is damaged; `clearwell repair` restores it."""

    def __init__(self, what: str, *, where: str = "", todo: str = "clearwell repair") -> None:
        super().__init__(what, where=where, todo=todo)


def _one_line(text: str) -> str:
    return " ".join(text.split()).rstrip(".")
