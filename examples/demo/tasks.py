"""The questions: small tasks whose answers a few lines can check.

Each task makes its prompts from a seed, so that anyone can ask the very same questions, or others of their
kind. They were chosen so that a model of 135 million parameters gets some completions right and some wrong:
where it gets none or all, two ways of sampling cannot differ.
"""

import random
import re
from collections.abc import Callable
from dataclasses import dataclass

_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")
_NAME = re.compile(r"\b[A-Z][\w'’-]*")


@dataclass(frozen=True)
class Prompt:
    """One question.

    Attributes:
        task: the name of the task that made it.
        text: what the model is asked.
        expected: the right answer, for the reader.
        extract: finds the answer in a completion, in a form in which equal answers are equal strings; None if
            the completion has none.
        accepts: whether a completion is right.
    """

    task: str
    text: str
    expected: str
    extract: Callable[[str], str | None]
    accepts: Callable[[str], bool]


def make_prompts(count: int, seed: int) -> list[Prompt]:
    """The first `count` prompts of this seed, all different, taking the tasks in turn.

    Raises:
        ValueError: `count` is not in [1, MOST_PROMPTS].
    """
    if not 1 <= count <= MOST_PROMPTS:
        raise ValueError(f"prompts: got {count}, expected 1 to {MOST_PROMPTS}")
    generators = [
        random.Random(f"{seed} {task.__name__}") for task in TASKS
    ]  # one task's change moves no other
    prompts: dict[str, Prompt] = {}
    while len(prompts) < count:
        turn = len(prompts) % len(TASKS)
        prompt = TASKS[turn](generators[turn])
        prompts.setdefault(prompt.text, prompt)
    return list(prompts.values())


def last_number(completion: str) -> str | None:
    """The last number of a completion, as is usual for such tasks; "1,200" and "1200.0" are "1200"."""
    found = _NUMBER.findall(completion)
    if not found:
        return None
    whole, _, fraction = found[-1].replace(",", "").partition(".")
    fraction = fraction.rstrip("0")
    return f"{int(whole)}.{fraction}" if fraction else str(int(whole))


def name_or_last(expected: str, question: str) -> Callable[[str], str | None]:
    """Finds `expected` if a completion mentions it, else its last capitalised word not in the question."""
    asked = set(_NAME.findall(question))

    def extract(completion: str) -> str | None:
        if mentions(expected, completion):
            return expected
        names = [name for name in _NAME.findall(completion) if name not in asked]
        return names[-1] if names else None

    return extract


def first_line(completion: str) -> str | None:
    """The first line that holds a word, in lower case and without punctuation."""
    for line in completion.splitlines():
        words = re.findall(r"\w+", line.lower())
        if words:
            return " ".join(words)
    return None


def mentions(word: str, completion: str) -> bool:
    """Whether `word` stands in a completion as a word, in any case."""
    return re.search(rf"\b{re.escape(word)}\b", completion, re.IGNORECASE) is not None


def _numeric(task: str, text: str, expected: int) -> Prompt:
    answer = str(expected)
    return Prompt(task, text, answer, last_number, lambda completion: last_number(completion) == answer)


def add(generator: random.Random) -> Prompt:
    a, b = generator.randint(3, 12), generator.randint(3, 9)
    return _numeric("add", f"What is {a} + {b}?", a + b)


def multiply(generator: random.Random) -> Prompt:
    a, b = generator.randint(11, 29), generator.randint(3, 9)
    return _numeric("multiply", f"What is {a} * {b}?", a * b)


def largest(generator: random.Random) -> Prompt:
    numbers = generator.sample(range(10, 100), 4)
    listed = ", ".join(map(str, numbers[:-1]))
    return _numeric("largest", f"Which number is the largest: {listed} or {numbers[-1]}?", max(numbers))


def letters(generator: random.Random) -> Prompt:
    word = generator.choice(_WORDS_TO_COUNT_IN)
    letter = generator.choice(sorted(set(word)))
    text = f'How many times does the letter "{letter}" appear in the word "{word}"?'
    return _numeric("letters", text, word.count(letter))


def story(generator: random.Random) -> Prompt:
    mia, tom = generator.randint(2, 9), generator.randint(2, 9)
    text = f"Mia has {mia} apples and Tom has {tom}. How many apples do they have together?"
    return _numeric("story", text, mia + tom)


def capital(generator: random.Random) -> Prompt:
    country, city = generator.choice(_CAPITALS)
    text = f"What is the capital of {country}?"
    return Prompt(
        "capital", text, city, name_or_last(city, text), lambda completion: mentions(city, completion)
    )


def sentence(generator: random.Random) -> Prompt:
    words = generator.sample(_WORDS_TO_USE, 3)
    text = 'Write one sentence that contains the words "{}", "{}" and "{}".'.format(*words)

    def accepts(completion: str) -> bool:
        written = first_line(completion) or ""
        return all(mentions(word, written) for word in words)

    return Prompt("sentence", text, " + ".join(words), first_line, accepts)


_WORDS_TO_COUNT_IN = (
    "address",
    "balloon",
    "banana",
    "bookkeeper",
    "coffee",
    "elephant",
    "letter",
    "pepper",
    "success",
)
_WORDS_TO_USE = (
    *("bread", "bridge", "butterfly", "candle", "doctor", "forest", "garden", "moon"),
    *("piano", "river", "soldier", "teacher", "train", "window", "winter"),
)
_CAPITALS = (
    *(("Argentina", "Buenos Aires"), ("Australia", "Canberra"), ("Canada", "Ottawa")),
    *(
        ("Egypt", "Cairo"),
        ("Finland", "Helsinki"),
        ("Kenya", "Nairobi"),
        ("Morocco", "Rabat"),
        ("Norway", "Oslo"),
    ),
    *(("Peru", "Lima"), ("Poland", "Warsaw"), ("Turkey", "Ankara"), ("Vietnam", "Hanoi")),
)

TASKS: tuple[Callable[[random.Random], Prompt], ...] = (
    add,
    multiply,
    largest,
    letters,
    story,
    capital,
    sentence,
)
MOST_PROMPTS = len(TASKS) * len(_CAPITALS)
