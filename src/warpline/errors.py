"""The one error that a user is meant to read."""


class WarplineError(Exception):
    """What was wrong, where, and what to do about it.

    Parameters
    ----------
    what
        One sentence: what was wrong.
    where
        The file, configuration key, case or pair concerned.
    do
        What the user can do about it.
    """

    def __init__(self, what: str, *, where: object = None, do: str | None = None):
        self.what, self.where, self.do = what, where, do
        lines = [what]
        if where is not None:
            lines.append(f"  where: {where}")
        if do is not None:
            lines.append(f"  to do: {do}")
        super().__init__("\n".join(lines))

    def __reduce__(self):
        return _rebuild, (self.what, self.where, self.do)


def _rebuild(what: str, where: object, do: str | None) -> WarplineError:
    return WarplineError(what, where=where, do=do)
