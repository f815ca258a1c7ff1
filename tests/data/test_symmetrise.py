"""Two directions of links made one: what holds for any links, and Moses's order of steps on small ones."""

from __future__ import annotations

from typing import get_args

from hypothesis import example, given
from hypothesis import strategies as st

from bench.core.sentences import Link
from data_recipes.aligners.statistical import Symmetrisation, symmetrise

LINKS = st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=20)
GDFA = "grow-diag-final-and"


@given(LINKS, LINKS)
@example([(0, 0), (0, 1)], [(0, 0), (1, 1)])
def test_intersection_is_in_grow_diag_which_is_in_the_union(forward: list[Link], reverse: list[Link]) -> None:
    least, middle, most = (set(symmetrise(forward, reverse, how)) for how in ("intersection", GDFA, "union"))
    assert least == set(forward) & set(reverse)
    assert most == set(forward) | set(reverse)
    assert least <= middle <= most
    linked = {s for s, _ in middle}, {t for _, t in middle}
    for source, target in most:
        assert source in linked[0] or target in linked[1], "a link of two free words is always taken in"


@given(LINKS, LINKS, st.randoms(use_true_random=False))
def test_sorted_once_each_and_the_order_of_links_does_not_matter(
    forward: list[Link], reverse: list[Link], draw: object
) -> None:
    shuffled = forward + forward[:3]
    draw.shuffle(shuffled)  # type: ignore[attr-defined]
    for how in get_args(Symmetrisation):
        found = symmetrise(forward, reverse, how)
        assert list(found) == sorted(set(found))
        assert symmetrise(shuffled, list(reversed(reverse)), how) == found


@given(LINKS)
def test_two_directions_that_agree_stay_as_they_are(links: list[Link]) -> None:
    for how in get_args(Symmetrisation):
        assert symmetrise(links, links, how) == tuple(sorted(set(links)))


@given(LINKS, LINKS)
def test_plain_ways_do_not_prefer_a_direction(forward: list[Link], reverse: list[Link]) -> None:
    for how in ("intersection", "union"):
        assert symmetrise(forward, reverse, how) == symmetrise(reverse, forward, how)


def test_grow_takes_neighbours_of_a_free_word_and_not_of_two_bound_ones() -> None:
    # (1, 1) is kept; (2, 2) lies diagonal; (1, 2) would then link two words that are bound
    assert symmetrise([(1, 1), (2, 2)], [(1, 1)], GDFA) == ((1, 1), (2, 2))
    assert symmetrise([(1, 1), (2, 2), (1, 2)], [(1, 1), (2, 2)], GDFA) == ((1, 1), (2, 2))
    assert symmetrise([(1, 1), (1, 2)], [(1, 1)], GDFA) == ((1, 1), (1, 2)), "one of the two is free"


def test_final_takes_far_links_of_two_free_words_forward_first() -> None:
    assert symmetrise([(0, 0), (5, 5)], [(0, 0)], GDFA) == ((0, 0), (5, 5))
    assert symmetrise([(0, 0), (0, 5)], [(0, 0)], GDFA) == ((0, 0),), "a far link of a bound word"
    assert symmetrise([(5, 5)], [(5, 3)], GDFA) == ((5, 5),)
