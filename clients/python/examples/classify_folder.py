"""Classifies every image of a folder with the model `digits`.

    python classify_folder.py FOLDER [--brokers HOST:PORT] [--prefix millrace]

Each image is given by its path; the client decodes it to the model's 8 x 8 pixels. One that cannot be
read or has another size is reported, and the others are classified all the same.
"""

import argparse
from collections import Counter
from pathlib import Path

import millrace


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--brokers")
    parser.add_argument("--prefix")
    arguments = parser.parse_args()
    paths = sorted(path for path in arguments.folder.iterdir() if path.is_file())
    counts: Counter[object] = Counter()
    with millrace.Client(arguments.brokers, prefix=arguments.prefix) as client:
        outcomes = client.map("digits", paths, errors="return", progress=True)
        for path, outcome in zip(paths, outcomes, strict=True):
            if isinstance(outcome, millrace.MillraceError):
                print(f"{path.name}: {outcome.sentence}")
                counts["failed"] += 1
                continue
            label = int(outcome["label"])
            print(f"{path.name}: {label} ({outcome['scores'][label]:.0%})")
            counts[label] += 1
    print(", ".join(f"{label}: {count}" for label, count in sorted(counts.items(), key=str)))


if __name__ == "__main__":
    main()
