"""The exceptions of the package: the input is wrong, or a proof is."""


class InputError(ValueError):
    """The user's input is wrong: the message names the field, what is wrong and what would be right.

    The command line prints the message as one line and exits with code 2.
    """


class ProofError(Exception):
    """A proof does not show what it was kept for, like a replay that leaves its tree: a fault of the program, not of the input.

    Nothing may be claimed from such a proof.
    """
