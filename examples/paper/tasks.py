"""Two tasks on which a tiny model shows what a first token decides: prompts, demonstrations and the check of
an answer.

A prompt has `Task.prompt_length` tokens and its answer `Task.answer_length`, always: nothing can be cut off,
so an unfinished answer cannot pass for another one.
"""

import functools
import itertools
import operator
import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

Tokens = tuple[int, ...]


class Task(ABC):
    """A kind of problem.

    Attributes:
        name: what tables and files call it.
        prompt_length, answer_length: in tokens.
        vocabulary: number of token ids.
        hot_top_k: the tokens among which FIRE draws by default.
        steps, batch: of the training.
    """

    name: str
    prompt_length: int
    answer_length: int
    vocabulary: int
    hot_top_k: int
    steps: int
    batch: int

    @abstractmethod
    def problem(self, generator: random.Random, testing: bool) -> tuple[Tokens, Tokens]:
        """A prompt and one right answer: for a test where `testing`, else a demonstration."""

    @abstractmethod
    def may_begin(self, prompt: Sequence[int], answer: Sequence[int]) -> bool:
        """Whether these tokens, at most `answer_length`, are the beginning of a right answer."""

    @abstractmethod
    def read(self, prompt: Sequence[int], answer: Sequence[int]) -> Tokens | None:
        """What a whole answer says, None where it says nothing: answers that say the same are one."""

    def problems(self, count: int, seed: int, testing: bool) -> tuple[list[Tokens], list[Tokens]]:
        """`count` prompts, each with a right answer."""
        generator = random.Random(seed)
        prompts, answers = zip(*(self.problem(generator, testing) for _ in range(count)), strict=True)
        return list(prompts), list(answers)


class StarGraph(Task):
    """Finds the arm of a star graph that ends in the goal: 6 arms of 3 nodes.

    The prompt lists the successor of every node (or that it has none), the first node of each arm, and the
    goal; the answer is the goal's arm. After its first token the rest is looked up, so the first token is the
    whole strategy. In demonstrations the goal's arm is listed first 9 times in 10, in tests 1 time in 2: the
    model learns to guess "the first one" and is wrong half of the time. After Bachmann and Nagarajan, "The
    Pitfalls of Next-Token Prediction" (arXiv 2403.06963), where such graphs come from.
    """

    name = "star graph"
    arms, hops = 6, 3
    nodes = arms * hops
    prompt_length = nodes + arms + 1
    answer_length = hops
    vocabulary = nodes + 1
    hot_top_k = 6
    steps, batch = 300, 128

    def problem(self, generator: random.Random, testing: bool) -> tuple[Tokens, Tokens]:
        order = generator.sample(range(self.nodes), self.nodes)
        arms = [order[begin : begin + self.hops] for begin in range(0, self.nodes, self.hops)]
        successors = [self.nodes] * self.nodes
        for arm in arms:
            for node, following in itertools.pairwise(arm):
                successors[node] = following
        first = generator.random() < (0.5 if testing else 0.9)
        right = arms[0] if first else generator.choice(arms[1:])
        return (*successors, *(arm[0] for arm in arms), right[-1]), tuple(right)

    def may_begin(self, prompt: Sequence[int], answer: Sequence[int]) -> bool:
        return tuple(answer) == self._arm(tuple(prompt))[: len(answer)]

    def read(self, prompt: Sequence[int], answer: Sequence[int]) -> Tokens | None:
        return tuple(answer)

    def _arm(self, prompt: Tokens) -> Tokens:
        node = prompt[-1]
        backwards = [node]
        while node in prompt[: self.nodes]:
            node = prompt.index(node)
            backwards.append(node)
        return tuple(reversed(backwards))


class Countdown(Task):
    """Reaches a target with three numbers, each used once: x op y op z, from left to right.

    Demonstrations nearly always begin with the largest number that a solution begins with, and tests are made
    alike: here the model's favourite first token is mostly right, and heat has little to win. Any right
    expression counts.
    """

    name = "countdown"
    largest, most = 15, 60
    operators: tuple[Callable[[int, int], int], ...] = (operator.add, operator.sub, operator.mul)
    first_operator = most + 1
    equals = first_operator + len(operators)
    prompt_length = 5
    answer_length = 5
    vocabulary = equals + 1
    hot_top_k = 4
    steps, batch = 450, 192

    def problem(self, generator: random.Random, testing: bool) -> tuple[Tokens, Tokens]:
        while True:
            numbers = tuple(generator.randint(1, self.largest) for _ in range(3))
            x, y, z = generator.sample(numbers, 3)
            target = generator.choice(self.operators)(generator.choice(self.operators)(x, y), z)
            if 0 <= target <= self.most:
                break
        solutions = self.solutions(tuple(sorted(numbers)), target)
        largest = max(solution[0] for solution in solutions)
        favourites = [solution for solution in solutions if solution[0] == largest]
        chosen = generator.choice(favourites if generator.random() < 0.95 else solutions)
        return (*numbers, target, self.equals), chosen

    def may_begin(self, prompt: Sequence[int], answer: Sequence[int]) -> bool:
        solutions = self.solutions(tuple(sorted(prompt[:3])), prompt[3])
        return any(solution[: len(answer)] == tuple(answer) for solution in solutions)

    def read(self, prompt: Sequence[int], answer: Sequence[int]) -> Tokens | None:
        x, first, y, second, z = answer
        known = range(self.first_operator, self.equals)
        if first not in known or second not in known or sorted((x, y, z)) != sorted(prompt[:3]):
            return None
        value = self._value(x, first, y, second, z)
        return tuple(answer) if value == prompt[3] else (value,)

    @classmethod
    def _value(cls, x: int, first: int, y: int, second: int, z: int) -> int:
        inner, outer = (cls.operators[token - cls.first_operator] for token in (first, second))
        return outer(inner(x, y), z)

    @classmethod
    @functools.lru_cache(maxsize=1 << 16)
    def solutions(cls, numbers: Tokens, target: int) -> tuple[Tokens, ...]:
        """Every right answer, in order."""
        tokens = range(cls.first_operator, cls.equals)
        found = {
            (x, first, y, second, z)
            for x, y, z in itertools.permutations(numbers)
            for first, second in itertools.product(tokens, repeat=2)
            if cls._value(x, first, y, second, z) == target
        }
        return tuple(sorted(found))


TASKS: tuple[Task, ...] = (StarGraph(), Countdown())
