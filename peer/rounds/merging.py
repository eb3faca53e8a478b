"""How a chain is judged with which this peer knows no common ancestor (docs/adr/0071). Pure."""

BY_SCORE = "score"
BY_MAJORITY = "majority"
"""By the score alone, or first by how many stand behind it."""


def is_outnumbered(few: int, many: int) -> bool:
    """Return whether twice as many peers stand behind one chain as behind the other.

    So three quarters of a swarm outnumber whatever a quarter makes up, and a vote that somebody has not heard of yet
    seldom makes two sides judge differently.
    """
    return many > 0 and many >= 2 * few
