"""`millrace score` on a Parquet file beside a loop over ONNX Runtime in this process, with the same batch size.

    MILLRACE_KAFKA__BROKERS=127.0.0.1:9092 .venv/bin/python load/score_speed.py --model digits --rows 200000

Starts infer itself, takes turns, and prints rows per second and processor time of every round. The loop reads the
file with pyarrow, runs batches of 128 rows, and writes id and outputs as Parquet, as score does with `--keep id`.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from pathlib import Path

import numpy
import onnxruntime
import pyarrow
import pyarrow.parquet

PROJECT = Path(__file__).parent.parent
MODELS = {
    "digits": (PROJECT / "models", (8, 8)),
    "ffnn": (PROJECT / "load/models", (784,)),
}
BATCH_ROWS = 128


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=MODELS, default="digits")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--profile", default="release", help="folder of the programs below target")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure(args, Path(folder))


def measure(args, folder):
    models, shape = MODELS[args.model]
    table = folder / "rows.parquet"
    write_rows(table, args.rows, shape)
    programs = PROJECT / "target" / args.profile
    brokers = os.environ["MILLRACE_KAFKA__BROKERS"]
    line = ["--brokers", brokers, "--prefix", f"speed-{uuid.uuid4().hex[:8]}"]
    run(programs / "millrace", "topics", "apply", "--model", args.model, *line)
    infer = start_infer(programs / "millrace-infer", line, models, args.model, folder)
    session_file = models / args.model / "1" / "model.onnx"
    ratios = []
    try:
        for round_number in range(args.rounds):
            loop = timed(lambda: run_loop(session_file, table, folder / "loop.parquet", shape))
            out = folder / f"score-{round_number}.parquet"
            command = [programs / "millrace", "score", table, "--model", args.model, "--out", out, "--keep", "id"]
            before = processor_time(infer.pid)
            score = timed(lambda command=command: run(*command, *line))
            score = (score[0], score[1] + processor_time(infer.pid) - before)
            assert pyarrow.parquet.read_metadata(out).num_rows == args.rows
            ratios.append((loop[0] / score[0], loop[1] / score[1]))
            print(
                f"loop {args.rows / loop[0]:9,.0f} rows/s {loop[1] / args.rows * 1e6:6.1f} us/row    "
                f"score {args.rows / score[0]:9,.0f} rows/s {score[1] / args.rows * 1e6:6.1f} us/row    "
                f"rate x {ratios[-1][0]:.2f}  processor x {ratios[-1][1]:.2f}",
                flush=True,
            )
    finally:
        infer.terminate()
        infer.wait()
    rate, processor = (sorted(column)[len(ratios) // 2] for column in zip(*ratios, strict=True))
    print(f"median: rate x {rate:.2f}, processor time x {processor:.2f} (score with infer, without the broker)")


def write_rows(path, rows, shape):
    """An id, and numbers from a fixed seed as a list of fixed length."""
    size = int(numpy.prod(shape))
    numbers = numpy.random.default_rng(7)
    schema = pyarrow.schema([("id", pyarrow.int64()), (input_name(shape), pyarrow.list_(pyarrow.float32(), size))])
    with pyarrow.parquet.ParquetWriter(path, schema, compression="zstd", use_dictionary=False) as writer:
        for first in range(0, rows, 16_384):
            count = min(16_384, rows - first)
            values = pyarrow.array(numbers.random(count * size, dtype=numpy.float32) * 16)
            ids = pyarrow.array(numpy.arange(first, first + count))
            lists = pyarrow.FixedSizeListArray.from_arrays(values, size)
            writer.write_batch(pyarrow.record_batch([ids, lists], schema))


def input_name(shape):
    return "image" if len(shape) == 2 else "input"


def run_loop(model, table, out, shape):
    """What a script would do."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    outputs = [output.name for output in session.get_outputs()]
    writer = None
    for batch in pyarrow.parquet.ParquetFile(table).iter_batches(BATCH_ROWS, use_threads=False):
        rows = batch.column(1).flatten().to_numpy().reshape(-1, *shape)
        answers = session.run(outputs, {given.name: rows})
        columns = {"id": batch.column(0)} | dict(zip(outputs, map(column, answers), strict=True))
        made = pyarrow.record_batch(columns)
        if writer is None:
            writer = pyarrow.parquet.ParquetWriter(out, made.schema, compression="zstd", use_dictionary=False)
        writer.write_batch(made, row_group_size=131_072)
    writer.close()


def column(answer):
    if answer.ndim == 1:
        return pyarrow.array(answer)
    offsets = pyarrow.array(numpy.arange(len(answer) + 1, dtype=numpy.int32) * answer.shape[1])
    return pyarrow.ListArray.from_arrays(offsets, pyarrow.array(answer.reshape(-1)))


def start_infer(program, line, models, model, folder):
    """Starts infer and waits until it serves."""
    port_file = folder / "port"
    brokers, prefix = line[1], line[3]
    settings = folder / "infer.toml"
    settings.write_text(
        f'[kafka]\nbrokers = "{brokers}"\n[topics]\nprefix = "{prefix}"\n'
        f'[admin]\nlisten = "127.0.0.1:0"\nport_file = "{port_file}"\n'
        f'[models]\npath = "{models}"\nnames = ["{model}"]\n[batch]\nmax_rows = {BATCH_ROWS}\n'
        f'[engine]\nlibrary = "{PROJECT}/.native/onnxruntime/libonnxruntime.so"\n'
    )
    log = open(folder / "infer.log", "w")  # noqa: SIM115, the process keeps it
    infer = subprocess.Popen([program, "--config", settings], stdout=log, stderr=log)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            address = port_file.read_text().strip()
            with urllib.request.urlopen(f"http://{address}/ready") as answer:
                if answer.status == 200:
                    return infer
        except OSError:
            time.sleep(0.1)
    sys.exit((folder / "infer.log").read_text())


def run(*command):
    subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL)


def timed(work):
    """Wall seconds and processor seconds of this process and of its children that ended."""
    wall, before = time.perf_counter(), own_processor_time()
    work()
    return time.perf_counter() - wall, own_processor_time() - before


def own_processor_time():
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def processor_time(pid):
    """Of a running process, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
