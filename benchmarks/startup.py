"""How long `import sperm_tf` and `python -m pipelines.run --help` take, in fresh processes.

    python -m benchmarks.startup

Targets: 0.5 s and 1.5 s.
"""

import statistics
import subprocess
import sys
import time

REPEATS = 9
COMMANDS = {
    "python, nothing imported": ["-c", "pass"],
    "import sperm_tf": ["-c", "import sperm_tf"],
    "pipelines.run --help": ["-m", "pipelines.run", "--help"],
    "pipelines.run --no_such_flag": ["-m", "pipelines.run", "--no_such_flag"],
}


def main():
    seconds = {name: [] for name in COMMANDS}
    for _ in range(REPEATS):
        for name, command in COMMANDS.items():
            start = time.perf_counter()
            subprocess.run([sys.executable, *command], capture_output=True)
            seconds[name].append(time.perf_counter() - start)
    for name, values in seconds.items():
        print(f"{name:<30} median {statistics.median(values):.3f} s of {REPEATS}")


if __name__ == "__main__":
    main()
