"""Prints every result of a model as it comes, whoever asked for it.

    python follow_stream.py MODEL [--minutes-ago 5] [--idle 10] [--brokers HOST:PORT]

Ends with Ctrl-C, or after `--idle` quiet seconds.
"""

import argparse
import contextlib
from datetime import timedelta

import millrace


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--minutes-ago", type=float, default=0)
    parser.add_argument("--idle", type=float)
    parser.add_argument("--brokers")
    parser.add_argument("--prefix")
    arguments = parser.parse_args()
    start = timedelta(minutes=arguments.minutes_ago) if arguments.minutes_ago else "end"
    good = failed = 0
    with millrace.Client(arguments.brokers, prefix=arguments.prefix) as client:
        results = client.follow(arguments.model, start=start, idle=arguments.idle)
        with contextlib.suppress(KeyboardInterrupt):
            for result in results:
                if result.code != "OK":
                    failed += 1
                    print(f"{result.time:%H:%M:%S} {result.id} {result.code}: {result.sentence}")
                    continue
                good += 1
                outputs = result.prediction()
                shapes = ", ".join(f"{name} {list(it.shape)}" for name, it in outputs.items())
                print(f"{result.time:%H:%M:%S} {result.id} {shapes}")
    print(f"{good} results, {failed} failures")


if __name__ == "__main__":
    main()
