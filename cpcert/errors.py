"""The one exception that means "the input is wrong"."""


class InputError(ValueError):
    """The user's input is wrong: the message names the field, what is wrong and what would be right.

    The command line prints the message as one line and exits with code 2.
    """
