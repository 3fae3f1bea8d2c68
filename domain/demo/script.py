"""The story of Rajesh Kumar's first portfolio, which the guide tells: a bonus, a late entry, a reversal among it."""

from typing import Final

from domain.demo.accounts import Plan
from domain.demo.bookkeeping import Bookkeeper
from domain.demo.days import LAST
from domain.demo.stories import Story

SCRIPTED: Final = 0  # the number of the portfolio
# The client who came from another book: its number, the day, and the number of a group in the former book.
MOVED: Final = 5
MOVED_ON: Final = LAST - 12
FORMER: Final = 4
_LAKH: Final = 10_000_000  # 1,00,000 rupees, in hundredths


def tell(plan: Plan, keeper: Bookkeeper) -> None:
    """Tell it to its bookkeeper."""
    story = Story(plan, keeper)
    _first_year(story, plan.opened)
    _second_year(story)
    _third_year(story)


def _first_year(story: Story, opened: int) -> None:
    keeper = story.keeper
    story.go(opened)
    keeper.deposit("INR", 40 * _LAKH)
    for after, symbol, lakhs in (
        (1, "HDFCBANK", 8),
        (1, "RELIANCE", 7),
        (2, "INFY", 5),
        (2, "NIFTYBEES", 6),
        (5, "GOLDBEES", 3),
        (5, "EBBETF0431", 6),
    ):
        story.go(opened + after)
        keeper.buy(symbol, lakhs * _LAKH)
    story.go(70)
    keeper.dividend("INFY", late=22)
    story.go(120)
    keeper.deposit("INR", 5 * _LAKH)
    keeper.buy("HDFCBANK", 3 * _LAKH)
    story.go(150)
    keeper.dividend("RELIANCE")
    story.go(200)
    keeper.fee("INR", _LAKH // 20)


def _second_year(story: Story) -> None:
    keeper = story.keeper
    story.go(270)
    keeper.sell("NIFTYBEES", 400)
    story.go(320)
    keeper.dividend("HDFCBANK")
    story.go(330)
    keeper.interest("INR", _LAKH // 40)
    story.go(380)
    keeper.deposit("INR", 6 * _LAKH)
    keeper.buy("ICICIBANK", 4 * _LAKH)
    story.go(500)
    keeper.tax("INFY", keeper.dividend("INFY") // 10)


def _third_year(story: Story) -> None:
    keeper = story.keeper
    story.go(560)
    keeper.withdraw("INR", 5 * _LAKH // 2)
    story.go(600)
    keeper.buy("NIFTYBEES", 2 * _LAKH)
    story.go(640)
    keeper.fee("INR", _LAKH // 20)
    story.go(700)
    keeper.dividend("HDFCBANK")
    story.go(LAST - 9)
    keeper.buy("INFY", 3 * _LAKH // 2)
    keeper.buy("INFY", 3 * _LAKH // 2)
    keeper.reverse(keeper.entries[-1], 2, "The contract note was booked twice.")
    story.go(LAST - 4)
    keeper.deposit("INR", 25 * _LAKH // 2)
    story.go(LAST - 3)
    keeper.buy("HDFCBANK", 6 * _LAKH)
