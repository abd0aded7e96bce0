"""
Print the real tasks with their sizes, and the accuracy of the baselines on the test examples.

python -m examples.corpora.real_tasks
python -m examples.corpora.real_tasks --task trec sms_spam
"""

import argparse
from collections import Counter
from collections.abc import Sequence

from modeling_glm.cloze.baselines import measure_baselines

from ..cloze_tasks import normalized
from .loading import REAL_TASKS, SHARES, read_description


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tasks with their sizes, and the accuracy of the baselines on the test examples."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--task", nargs="+", choices=REAL_TASKS, default=list(REAL_TASKS), metavar="NAME")
    for name in parser.parse_args(arguments).task:
        data = REAL_TASKS[name]()
        print(f"{name}: {read_description(name)['about']}\n    {data.task.patterns[0].text}")
        for split in SHARES:
            labels = Counter(example["label"] for example in getattr(data, split))
            counts = ", ".join(f"{label} {labels[label]}" for label in data.task.labels)
            print(f"    {split:<11} {labels.total():>6}: {counts}")
        trained = {normalized(example["text"]) for example in data.train}
        seen = sum(normalized(example["text"]) in trained for example in data.test)
        print(f"    {seen} test texts have the words of a training text")
        for method, metrics in measure_baselines(data).items():
            print(f"    {method}: {metrics['accuracy']:.1%}")


if __name__ == "__main__":
    main()
