"""A task with a habit and a better strategy that the model knows and rarely starts: for training on
rollouts."""

import random
from collections.abc import Sequence

from examples.paper.tasks import Task, Tokens


class Openers(Task):
    """Adds two numbers of three digits, beginning with one of 16 openers that decides how the digits follow.

    After a quick opener they are written from left to right without carrying: right for the problems (6 in
    10) in which nothing carries. After a careful one they are written from right to left with carries: right
    whatever the problem, but for one digit in 25. After a sloppy one every other digit is arbitrary. Skills
    are taught with all openers alike; habits then with 94 demonstrations in 100 quick ones, 84 of them the
    same, and 2 careful ones. So the model knows the better strategy, and its first token seldom starts it.

    Args:
        known: whether there is a better strategy: where not, the careful openers are as sloppy as the sloppy
        ones.
        habits: demonstrations as the habits have them, else all openers alike.
    """

    digits = 3
    plus = 10
    first_opener = plus + 1
    quick, careful, sloppy = range(6), range(6, 10), range(10, 16)
    openers = 16
    prompt_length = 2 * digits + 1
    answer_length = 1 + digits + 1
    vocabulary = first_opener + openers
    hot_top_k = 16
    steps, batch = 800, 192
    shares = (0.84, *[0.02] * 5, *[0.005] * 4, *[0.04 / 6] * 6)

    def __init__(self, known: bool = True, habits: bool = True) -> None:
        self.name = "openers" if known else "openers, none better"
        self._known = known
        self._shares = self.shares if habits else (1.0,) * self.openers

    def problem(self, generator: random.Random, testing: bool) -> tuple[Tokens, Tokens]:
        nothing_carries = generator.random() < 0.6
        while True:
            x, y = ([generator.randrange(10) for _ in range(self.digits)] for _ in range(2))
            if nothing_carries == all(a + b < 10 for a, b in zip(x, y, strict=True)):
                break
        prompt = (*x, *y, self.plus)
        opener = self.quick[0] if testing else generator.choices(range(self.openers), self._shares)[0]
        right = self._digits(prompt, opener)
        noise = 0.0 if testing else self._noise(opener)
        if opener in self.quick and not testing:
            right = (0, *((a + b) % 10 for a, b in zip(x, y, strict=True)))
        digits = (generator.randrange(10) if generator.random() < noise else digit for digit in right)
        return prompt, (self.first_opener + opener, *digits)

    def may_begin(self, prompt: Sequence[int], answer: Sequence[int]) -> bool:
        if not answer:
            return True
        opener = answer[0] - self.first_opener
        return 0 <= opener < self.openers and self._digits(prompt, opener)[: len(answer) - 1] == tuple(
            answer[1:]
        )

    def read(self, prompt: Sequence[int], answer: Sequence[int]) -> Tokens | None:
        opener, digits = answer[0] - self.first_opener, tuple(answer[1:])
        if not 0 <= opener < self.openers or max(digits) > 9:
            return None
        return digits[::-1] if opener in self.careful else digits

    def _noise(self, opener: int) -> float:
        if opener in self.quick:
            return 0.0
        return 0.04 if opener in self.careful and self._known else 0.5

    def _digits(self, prompt: Sequence[int], opener: int) -> Tokens:
        """The sum's digits, in the order in which this opener has them."""
        x, y = (int("".join(map(str, prompt[begin : begin + self.digits]))) for begin in (0, self.digits))
        digits = tuple(int(digit) for digit in f"{x + y:0{self.digits + 1}d}")
        return digits[::-1] if opener in self.careful else digits
