"""Asks the colours model about image files by path, over Kafka and over HTTP, and prints a line of JSON for each.

Usage: images_by_path.py BROKERS PREFIX URL FILE…
"""

import json
import sys
from pathlib import Path

import millrace

OUTPUTS = ["mean", "scores_indices", "scores_scores", "scores_labels"]


def main(brokers: str, prefix: str, url: str, *files: str) -> None:
    for client in (millrace.Client(brokers, prefix=prefix), millrace.Client(url)):
        with client:
            answer = client.predict("colours", image=[Path(file) for file in files], timeout=100)
            for row in range(len(files)):
                values = {name: answer[name][row] for name in OUTPUTS}
                print(json.dumps({name: value.tolist() for name, value in values.items()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
