"""The whole line on this machine: one broker, ingest, infer and sink, real images in, answers out.

Usage: python scripts/demo [--once] [--bin-dir target/debug]
"""

import argparse
import signal
import sys
import time
from pathlib import Path

import line
import questions
import results

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    arguments = parse_arguments()
    # A SIGTERM stops everything just as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    started = time.monotonic()
    demo = line.Line(ROOT, ROOT / arguments.bin_dir)
    try:
        demo.start()
        right = questions.over_http(demo.http)
        right += questions.as_arrow_records(demo.brokers)
        questions.nine_inputs(demo.http)
        results.show(demo.postgres, demo.database, demo.parquet, expected=questions.IMAGES)
        print(f"\nThat took {time.monotonic() - started:.0f} s.")
        if right < questions.IMAGES - 2:
            raise line.DemoError(f"only {right} of {questions.IMAGES} answers are right")
        if not arguments.once:
            show_next(demo)
            demo.wait()
    except KeyboardInterrupt:
        print()
    except line.DemoError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except FileNotFoundError as error:
        print(f"demo: {error.filename} is missing: run `make demo`, which builds it", file=sys.stderr)
        return 1
    finally:
        demo.stop()
    return 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--once", action="store_true", help="stop when all is shown")
    parser.add_argument("--bin-dir", default="target/debug", help="where the services are built")
    return parser.parse_args()


def show_next(demo: line.Line) -> None:
    print(f"""
Everything is running. Try, from the project's folder:

  curl -d @models/digits/example.json \\
    {demo.http}/v1/models/digits:predict

  curl -d @models/everything/example.json \\
    {demo.http}/predict

  gRPC is at {demo.grpc}; README.md has an example.

  export MILLRACE_KAFKA__BROKERS={demo.brokers}
  {demo.tool.relative_to(ROOT)} models list
  {demo.tool.relative_to(ROOT)} lag
  {demo.tool.relative_to(ROOT)} tail digits --from beginning
  {demo.tool.relative_to(ROOT)} check --config {demo.folder.relative_to(ROOT)}/sink.toml

Logs, rows and files: {demo.folder.relative_to(ROOT)}
Ctrl-C stops everything.""")


if __name__ == "__main__":
    sys.exit(main())
